// gather, scatter_rows and rotary.  (Lessons 04 and 06)
#include "needle/backend/cpu/rows.h"
#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

/// Whether the axes behind the first `leading` ones are compact.
bool rows_compact(const View& x, int leading) {
  int64_t size = 1;
  for (int axis = x.ndim() - 1; axis >= leading; --axis) {
    if (x.shape[axis] != 1 && x.strides[axis] != size) return false;
    size *= x.shape[axis];
  }
  return true;
}

/// How many elements before row `index` of x: of its first `leading` axes.
[[gnu::always_inline]] inline int64_t row_offset(const View& x, int leading, int64_t index) {
  int64_t offset = 0;
  for (int axis = leading - 1; axis >= 0; --axis) {
    const int64_t rest = axis ? index / x.shape[axis] : 0;
    offset += (index - rest * x.shape[axis]) * x.strides[axis];
    index = rest;
  }
  return offset;
}

/// A view of one row of x: all axes behind the first `leading` ones.
View row_view(const View& x, int leading, int64_t index) {
  View row = x;
  for (int axis = leading - 1; axis >= 0; --axis) {
    row.shape.erase(axis);
    row.strides.erase(axis);
  }
  row.data = x.as<char>() + row_offset(x, leading, index) * size_of(x.dtype);
  return row;
}

/// Tables of single elements: a row is not worth a view of its own.
template <class T>
void gather_elements(const View& table, const View& index, const View& out) {
  const T* from = table.as<T>();
  const int64_t step = table.strides[0];
  walk(out, index).parallel_rows([=](int64_t n, char* const* at, const int64_t* stride) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = *reinterpret_cast<const int64_t*>(at[1] + i * stride[1]);
      *reinterpret_cast<T*>(at[0] + i * stride[0]) = from[row * step];
    }
  });
}

/// One thread, in index order: an element may be named twice. index and x are compact.
template <class T>
void add_elements(const View& index, const View& x, const View& table) {
  fill({}, table);
  const int64_t* rows = index.as<int64_t>();
  const T* from = x.as<T>();
  T* to = table.as<T>();
  const int64_t n = index.size(), step = table.strides[0];
  for (int64_t i = 0; i < n; ++i) to[rows[i] * step] += from[i];
}

/// The places in an index at which it names each row, in order: of row r, place[first[r]] up to
/// place[first[r + 1]]. In scratch memory number 3.
struct Places {
  int64_t *first, *place;

  Places(const View& index, int64_t rows) {
    const int64_t n = index.size();
    first =
        static_cast<int64_t*>(scratch(3, static_cast<size_t>(rows + 2 + n + 2) * sizeof(int64_t)));
    place = first + rows + 2;
    // A counting sort: how often, then from where on; filling in moves each start on to the next.
    std::memset(first, 0, static_cast<size_t>(rows + 2) * sizeof(int64_t));
    for (int64_t i = 0; i < n; ++i) ++first[element<int64_t>(index, i) + 2];
    for (int64_t r = 0; r < rows; ++r) first[r + 2] += first[r + 1];
    for (int64_t i = 0; i < n; ++i) place[first[element<int64_t>(index, i) + 1]++] = i;
    place[n] = place[n + 1] = n > 0 ? place[n - 1] : 0;  // what is fetched after the last
  }
};

/// Row after row of the table, which is written once. x and table are compact, rows `width` long.
template <class T>
void add_rows(const View& index, const View& x, const View& table, int64_t width) {
  const int64_t rows = table.shape[0];
  const Places at(index, rows);
  const bool past = past_caches(table.size() * int64_t{sizeof(T)});
  parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(1, width);
    T* const sum = buffer[0];
    const auto row_of = [&](int64_t i) { return x.as<T>() + at.place[i] * width; };
    for (int64_t r = begin; r < end; ++r) {
      const Out<T> out = out_at(table.as<T>() + r * width, past);
      const int64_t from = at.first[r], to = at.first[r + 1];
      if (from == to) {
        const T* later = row_of(to + 1);  // there is time for one more
        vectors<T>(width, [&](auto load, auto store) {
          load.fetch(later);
          store(out, Vec<T>(T(0)));
        });
        continue;
      }
      // What is fetched is the next row of x to be read, perhaps for the next of the table.
      const T *total = row_of(from), *next = row_of(from + 1);
      if (to == from + 1) {
        vectors<T>(width, [&](auto load, auto store) {
          load.fetch(next);
          store(out, load(total, T(0)));
        });
      }
      for (int64_t i = from + 1; i < to; ++i, total = sum) {
        const T* more = row_of(i);
        const Out<T> result = i + 1 == to ? out : Out<T>{sum};
        next = row_of(i + 1);
        vectors<T>(width, [&](auto load, auto store) {
          load.fetch(next);
          store(result, load(total, T(0)) + load(more, T(0)));
        });
      }
    }
  });
}

template <class T>
void rotary_rows(bool inverse, const View& x, const View& cos, const View& sin, const View& out) {
  const Rows<T> xs(x);
  const Rows<T> outs(out);
  const Rows<T> coss(cos);
  const Rows<T> sins(sin);
  const int64_t half = xs.n() / 2;
  const int64_t seq = x.shape[x.ndim() - 2];
  const Vec<T> sign(inverse ? T(-1) : T(1));
  parallel_for(xs.count(), row_grain(xs.n()), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(4, xs.n());
    for (int64_t r = begin; r < end; ++r) {
      const T* in = xs.read(r, buffer[0]);
      const T* c = coss.read(r % seq, buffer[1]);
      const T* s = sins.read(r % seq, buffer[2]);
      const Out<T> y = outs.write(r, buffer[3]);
      vectors<T>(half, [&](auto load, auto store) {
        const Vec<T> a = load(in, T(0));
        const Vec<T> b = load(in + half, T(0));
        const Vec<T> ci = load(c, T(0));
        const Vec<T> si = load(s, T(0)) * sign;
        store(y, a * ci - b * si);
        store(y + half, b * ci + a * si);
      });
      outs.finish(r, buffer[3]);
    }
  });
}

}  // namespace

void gather(const View& table, const View& index, const View& out) {
  if (out.size() == 0) return;
  if (table.ndim() == 1) {
    return visit_dtype(table.dtype, [&](auto tag) {
      gather_elements<typename decltype(tag)::type>(table, index, out);
    });
  }
  const int leading = index.ndim();
  const bool direct = rows_compact(table, 1) && rows_compact(out, leading);
  const int64_t width = out.size() / index.size();
  const int64_t item = size_of(table.dtype), bytes = width * item;
  const bool past = past_caches(out.size() * item);
  const auto row_of = [&](int64_t row) { return table.as<char>() + row * table.strides[0] * item; };
  parallel_for(index.size(), 1 + kGrain / (width + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = element<int64_t>(index, i);
      if (direct) {
        // The next row is asked for: no one can guess which that is.
        copy_bytes(out.as<char>() + row_offset(out, leading, i) * item, row_of(row), bytes, past,
                   row_of(element<int64_t>(index, least(i + 1, end - 1))));
      } else {
        copy(row_view(table, 1, row), row_view(out, leading, i));
      }
    }
  });
}

void scatter_rows(const View& index, const View& x, const View& table) {
  if (x.size() == 0) return fill({}, table);
  visit_floating(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (table.ndim() == 1 && index.is_contiguous() && x.is_contiguous()) {
      return add_elements<T>(index, x, table);
    }
    const View from = compact(x, 1), to = stand_in(table, 0);
    add_rows<T>(index, from, to, x.size() / index.size());
    if (to.data != table.data) copy(to, table);
  });
}

void rotary(bool inverse, const View& x, const View& cos, const View& sin, const View& out) {
  if (x.size() == 0) return;
  visit_floating(x.dtype, [&](auto tag) {
    rotary_rows<typename decltype(tag)::type>(inverse, x, cos, sin, out);
  });
}

}  // namespace needle::NEEDLE_ISA
