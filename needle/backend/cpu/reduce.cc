// Reductions over any axes.  (Lesson 04)
//
// The axes are split into kept and reduced ones. If the innermost axis in memory is reduced, each
// result is the fold of compact rows; if it is kept, whole rows are folded into a row of results.
//
// Sums of float32 are added up in float32 for a while and then in float64. A number goes through at
// most 260 additions in float32 in a row (256 with vectors of four, 128 with eight), and 64 in a
// column: the error is below that times 2^-24 of the sum of magnitudes, however many there are.
#include <cmath>
#include <limits>
#include <type_traits>

#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

/// Some axes of x, the longest stride first; `to` are the strides of the output.
struct AxisList {
  int count = 0;
  int64_t size = 1;
  int64_t shape[kMaxDims], from[kMaxDims], to[kMaxDims];

  void add(int64_t n, int64_t from_stride, int64_t to_stride) {
    size *= n;
    if (n == 1) return;
    int at = count++;
    for (; at > 0 && magnitude(from[at - 1]) < magnitude(from_stride); --at) {
      shape[at] = shape[at - 1], from[at] = from[at - 1], to[at] = to[at - 1];
    }
    shape[at] = n, from[at] = from_stride, to[at] = to_stride;
  }

  /// Neighbouring axes that step like one become one.
  void join() {
    int kept = 0;
    for (int i = 1; i < count; ++i) {
      if (from[kept] == from[i] * shape[i] && to[kept] == to[i] * shape[i]) {
        shape[kept] *= shape[i];
      } else {
        shape[++kept] = shape[i];
      }
      from[kept] = from[i], to[kept] = to[i];
    }
    if (count > 0) count = kept + 1;
  }

  /// Takes the innermost axis off and returns its length; 1, with strides 0, if there is none.
  int64_t pop(int64_t& from_stride, int64_t& to_stride) {
    from_stride = to_stride = 0;
    if (count == 0) return 1;
    --count;
    from_stride = from[count], to_stride = to[count];
    size = shape[count] ? size / shape[count] : 0;
    return shape[count];
  }

  int64_t innermost() const { return count ? magnitude(from[count - 1]) : INT64_MAX; }

  /// Offsets in x and in the output of element i.
  void locate(int64_t i, int64_t& x, int64_t& out) const {
    x = out = 0;
    for (int axis = count - 1; axis >= 0; --axis) {
      int64_t index = i;
      if (axis > 0) index = i % shape[axis], i /= shape[axis];
      x += index * from[axis], out += index * to[axis];
    }
  }

  static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }
};

/// What partial results are kept in: double for floating sums, an unsigned integer that wraps for
/// integer ones, the type itself for extremes.
template <Reduce op, class T>
struct Partial {
  static constexpr bool kExtreme = op == Reduce::max || op == Reduce::min;
  using type =
      std::conditional_t<kExtreme, T, std::conditional_t<std::is_integral_v<T>, uint64_t, double>>;
};

template <Reduce op, class T, class P>
[[gnu::always_inline]] inline P start() {
  if constexpr (op == Reduce::sum) return P(0);
  if constexpr (op == Reduce::prod) return P(1);
  constexpr bool floating = std::is_floating_point_v<T>;
  if constexpr (op == Reduce::max) {
    return floating ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  }
  return floating ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

template <Reduce op, class P>
[[gnu::always_inline]] inline P fold(P a, P b) {
  if constexpr (op == Reduce::sum) return a + b;
  if constexpr (op == Reduce::prod) return a * b;
  if constexpr (op == Reduce::max) return a > b || a != a ? a : b;  // NaN wins
  if constexpr (op == Reduce::min) return a < b || a != a ? a : b;
}

/// The fold of n elements with a stride.
template <Reduce op, class T, class P>
P fold_row(const T* x, int64_t n, int64_t stride) {
  if constexpr (std::is_floating_point_v<T> && op == Reduce::sum) {
    if (stride == 1) return row_sum<T>(x, n);
  }
  if constexpr (std::is_floating_point_v<T> && op == Reduce::max) {
    if (stride == 1) return row_max<T>(x, n);
  }
  P total = start<op, T, P>();
  for (int64_t i = 0; i < n; ++i) total = fold<op, P>(total, static_cast<P>(x[i * stride]));
  return total;
}

/// One result at a time, each from rows of `n` elements.
template <Reduce op, class T>
void reduce_rows(const AxisList& kept, const AxisList& outer, int64_t n, int64_t stride, const T* x,
                 T* out) {
  using P = typename Partial<op, T>::type;
  // A single long row is cut into pieces of fixed length, so that threads can share it and the
  // result does not depend on how many there are.
  constexpr int64_t kLong = 65536;
  const int64_t cuts = kept.size == 1 && outer.size == 1 && n > kLong ? (n + kLong - 1) / kLong : 1;
  if (cuts > 1) {
    P* partial = static_cast<P*>(scratch(2, static_cast<size_t>(cuts) * sizeof(P)));
    parallel_for(cuts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const int64_t length = n - c * kLong < kLong ? n - c * kLong : kLong;
        partial[c] = fold_row<op, T, P>(x + c * kLong * stride, length, stride);
      }
    });
    P total = partial[0];
    for (int64_t c = 1; c < cuts; ++c) total = fold<op, P>(total, partial[c]);
    *out = static_cast<T>(total);
    return;
  }
  parallel_for(kept.size, row_grain(n * outer.size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t from;
      int64_t to;
      kept.locate(i, from, to);
      P total = start<op, T, P>();
      for (int64_t j = 0; j < outer.size; ++j) {
        int64_t offset;
        int64_t unused;
        outer.locate(j, offset, unused);
        total = fold<op, P>(total, fold_row<op, T, P>(x + from + offset, n, stride));
      }
      out[to] = static_cast<T>(total);
    }
  });
}

constexpr int64_t kBlockColumns = 1024;  // of a block of compact rows that are folded into one
constexpr int64_t kFloatRows = 64;       // that are folded in T before they are folded in P

/// total[c] = fold of column c of `rows` rows, for `columns` columns. row(j) is where row j begins.
template <Reduce op, class T, class P, class Row>
void fold_rows(int64_t rows, int64_t columns, const Row& row, P* total) {
  for (int64_t c = 0; c < columns; ++c) total[c] = start<op, T, P>();
  if constexpr (op == Reduce::sum && std::is_floating_point_v<T>) {
    alignas(64) T some[kBlockColumns];
    for (int64_t top = 0; top < rows; top += kFloatRows) {
      const int64_t bottom = least(top + kFloatRows, rows);
      std::memset(some, 0, static_cast<size_t>(columns) * sizeof(T));
      for (int64_t j = top; j < bottom; ++j) {
        // One row after the other, as memory is read best, and the next is asked for.
        const T *a = row(j), *next = row(least(j + 1, rows - 1));
        vectors<T>(columns, [&](auto load, auto store) {
          load.fetch(next);
          store(some, load(some, T(0)) + load(a, T(0)));
        });
      }
      for (int64_t c = 0; c < columns; ++c) total[c] += static_cast<P>(some[c]);
    }
  } else {
    for (int64_t j = 0; j < rows; ++j) {
      const T* a = row(j);
      for (int64_t c = 0; c < columns; ++c) total[c] = fold<op, P>(total[c], static_cast<P>(a[c]));
    }
  }
}

/// A block of columns at a time: compact rows of x are folded into one row of results.
template <Reduce op, class T>
void reduce_columns(const AxisList& kept, const AxisList& reduced, int64_t n, int64_t to_stride,
                    const T* x, T* out) {
  using P = typename Partial<op, T>::type;
  const int64_t blocks = (n + kBlockColumns - 1) / kBlockColumns;
  const int64_t items = kept.size * blocks;
  // For few blocks the rows are cut into groups, so that threads can share them; how many there are
  // depends on the shape alone, and so does the result.
  constexpr int64_t kFew = 16, kMany = 65536;
  const int64_t groups = items < kFew ? least(kFew, 1 + reduced.size * n / kMany) : 1;
  P* partial = groups == 1
                   ? nullptr
                   : static_cast<P*>(scratch(
                         2, static_cast<size_t>(items * groups * kBlockColumns) * sizeof(P)));
  const auto put = [&](int64_t item, const P* total) {
    int64_t from;
    int64_t to;
    kept.locate(item / blocks, from, to);
    const int64_t first = item % blocks * kBlockColumns;
    for (int64_t c = 0; c < least(n - first, kBlockColumns); ++c) {
      out[to + (first + c) * to_stride] = static_cast<T>(total[c]);
    }
  };
  const int64_t grain = row_grain(least(n, kBlockColumns) * reduced.size / groups);
  parallel_for(items * groups, grain, [&](int64_t begin, int64_t end) {
    P own[kBlockColumns];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t item = i / groups, group = i % groups;
      int64_t from;
      int64_t to;
      kept.locate(item / blocks, from, to);
      const int64_t first = item % blocks * kBlockColumns;
      const int64_t top = reduced.size * group / groups;
      const int64_t bottom = reduced.size * (group + 1) / groups;
      const auto row = [&](int64_t j) {
        int64_t offset;
        int64_t unused;
        reduced.locate(top + j, offset, unused);
        return x + from + offset + first;
      };
      P* total = groups == 1 ? own : partial + i * kBlockColumns;
      fold_rows<op, T>(bottom - top, least(n - first, kBlockColumns), row, total);
      if (groups == 1) put(item, total);
    }
  });
  for (int64_t item = 0; groups > 1 && item < items; ++item) {
    P* total = partial + item * groups * kBlockColumns;
    for (int64_t g = 1; g < groups; ++g) {
      const P* more = total + g * kBlockColumns;
      for (int64_t c = 0; c < least(n, kBlockColumns); ++c)
        total[c] = fold<op, P>(total[c], more[c]);
    }
    put(item, total);
  }
}

template <Reduce op, class T>
void reduce_as(const View& x, const View& out) {
  AxisList kept;
  AxisList reduced;
  for (int axis = 0; axis < x.ndim(); ++axis) {
    const bool keeps = out.shape[axis] == x.shape[axis] && x.shape[axis] != 1;
    (keeps ? kept : reduced).add(x.shape[axis], x.strides[axis], keeps ? out.strides[axis] : 0);
  }
  if (kept.size == 0) return;
  kept.join();
  reduced.join();
  int64_t from_stride;
  int64_t to_stride;
  if (kept.count > 0 && kept.from[kept.count - 1] == 1 && reduced.innermost() > 1) {
    const int64_t n = kept.pop(from_stride, to_stride);
    return reduce_columns<op, T>(kept, reduced, n, to_stride, x.as<T>(), out.as<T>());
  }
  const int64_t n = reduced.pop(from_stride, to_stride);
  reduce_rows<op, T>(kept, reduced, n, from_stride, x.as<T>(), out.as<T>());
}

template <class T>
void reduce_typed(Reduce op, const View& x, const View& out) {
  switch (op) {
    case Reduce::sum: return reduce_as<Reduce::sum, T>(x, out);
    case Reduce::prod: return reduce_as<Reduce::prod, T>(x, out);
    case Reduce::max: return reduce_as<Reduce::max, T>(x, out);
    case Reduce::min: return reduce_as<Reduce::min, T>(x, out);
  }
}

template <class T>
void arg_reduce_as(bool largest, const View& x, int axis, const View& out) {
  const int64_t n = x.shape[axis];
  const int64_t stride = x.strides[axis];
  parallel_for(out.size(), row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      // Element i of the output stands where the first element of its row stands in x.
      int64_t rest = i;
      const T* row = x.as<T>();
      for (int a = x.ndim() - 1; a >= 0; --a) {
        if (a == axis) continue;
        row += rest % x.shape[a] * x.strides[a];
        rest /= x.shape[a];
      }
      int64_t best = 0;
      for (int64_t j = 1; j < n; ++j) {
        const T value = row[j * stride];
        const T record = row[best * stride];
        if (record != record) break;
        if ((largest ? value > record : value < record) || value != value) best = j;
      }
      element<int64_t>(out, i) = best;
    }
  });
}

}  // namespace

void reduce(Reduce op, const View& x, const View& out) {
  switch (x.dtype) {
    case DType::bool_:  // as bytes 0 and 1: max is any, min is all
      return reduce_typed<uint8_t>(op, x, out);
    case DType::int32: return reduce_typed<int32_t>(op, x, out);
    case DType::int64: return reduce_typed<int64_t>(op, x, out);
    case DType::float32: return reduce_typed<float>(op, x, out);
    default: return reduce_typed<double>(op, x, out);
  }
}

void arg_reduce(ArgReduce op, const View& x, int axis, const View& out) {
  visit_arithmetic(x.dtype, [&](auto tag) {
    arg_reduce_as<typename decltype(tag)::type>(op == ArgReduce::argmax, x, axis, out);
  });
}

}  // namespace needle::NEEDLE_ISA
