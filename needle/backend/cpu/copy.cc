// Moving elements: fill, copy with conversion, where.  (Lesson 04)
#include <type_traits>

#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

template <class To, class From>
[[gnu::always_inline]] inline To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Outside the range a C++ cast is undefined; x86 hardware answers with the lowest integer.
    constexpr From limit = sizeof(To) == 4 ? From(2147483648.0) : From(9223372036854775808.0);
    return x >= -limit && x < limit ? static_cast<To>(x) : static_cast<To>(limit > 0 ? -limit : 0);
  } else {
    return static_cast<To>(x);
  }
}

/// The axis along which the input is compact, if that is not the last, along which the output is;
/// -1 if there is none.
template <class T>
int crossing_axis(const Walk<2>& w) {
  const int last = w.ndim - 1;
  constexpr int64_t item = sizeof(T);
  if (w.stride[0][last] != item || w.stride[1][last] == item) return -1;
  for (int axis = 0; axis < last; ++axis) {
    if (w.stride[1][axis] == item) return axis;
  }
  return -1;
}

/// A transpose of `axis` and the last, tile by tile: every cache line that comes is used whole.
template <class T>
void copy_tiles(const Walk<2>& w, int axis) {
  constexpr int64_t kTile = 16;
  const int last = w.ndim - 1;
  const int64_t rows = w.shape[axis], columns = w.shape[last];
  const int64_t blocks = (rows + kTile - 1) / kTile;
  const int64_t to_step = w.stride[0][axis] / int64_t{sizeof(T)};
  const int64_t from_step = w.stride[1][last] / int64_t{sizeof(T)};
  if (w.size == 0) return;
  const int64_t items = w.size / (rows * columns) * blocks;
  parallel_for(items, 1 + 16384 / (kTile * columns), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t first = item % blocks * kTile;
      const int64_t m = rows - first < kTile ? rows - first : kTile;
      char* at[2] = {w.data[0] + first * w.stride[0][axis], w.data[1] + first * w.stride[1][axis]};
      int64_t rest = item / blocks;
      for (int a = last - 1; a >= 0; --a) {
        if (a == axis) continue;
        for (int k = 0; k < 2; ++k) at[k] += rest % w.shape[a] * w.stride[k][a];
        rest /= w.shape[a];
      }
      for (int64_t left = 0; left < columns; left += kTile) {
        const int64_t n = columns - left < kTile ? columns - left : kTile;
        T* to = reinterpret_cast<T*>(at[0]) + left;
        const T* from = reinterpret_cast<const T*>(at[1]) + left * from_step;
        // Lines far apart may share a place in the cache: each of them is gone through at once.
        if (from_step > to_step) {
          for (int64_t j = 0; j < n; ++j) {
            for (int64_t i = 0; i < m; ++i) to[i * to_step + j] = from[j * from_step + i];
          }
        } else {
          for (int64_t i = 0; i < m; ++i) {
            for (int64_t j = 0; j < n; ++j) to[i * to_step + j] = from[j * from_step + i];
          }
        }
      }
    }
  });
}

template <class To, class From>
void copy_as(const View& x, const View& out) {
  const auto w = walk(out, x);
  if constexpr (std::is_same_v<To, From>) {
    if (const int axis = crossing_axis<To>(w); axis >= 0) return copy_tiles<To>(w, axis);
  }
  w.parallel_rows([](int64_t n, char* const* at, const int64_t* stride) {
    if constexpr (std::is_same_v<To, From>) {
      if (stride[0] == sizeof(To) && stride[1] == sizeof(From)) {
        std::memcpy(at[0], at[1], static_cast<size_t>(n) * sizeof(To));
        return;
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      *reinterpret_cast<To*>(at[0] + i * stride[0]) =
          convert<To>(*reinterpret_cast<const From*>(at[1] + i * stride[1]));
    }
  });
}

}  // namespace

void fill(Scalar value, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T x = is_floating(out.dtype) ? static_cast<T>(value.real) : static_cast<T>(value.integer);
    walk(out).parallel_rows([x](int64_t n, char* const* at, const int64_t* stride) {
      if (stride[0] == sizeof(T)) {
        // What is filled is copied behind itself: twice as much each time.
        T* to = reinterpret_cast<T*>(at[0]);
        *to = x;
        for (int64_t done = 1; done < n; done *= 2) {
          std::memcpy(to + done, to, (done < n - done ? done : n - done) * sizeof(T));
        }
        return;
      }
      for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(at[0] + i * stride[0]) = x;
    });
  });
}

void copy(const View& x, const View& out) {
  visit_dtype(out.dtype, [&](auto to) {
    visit_dtype(x.dtype, [&](auto from) {
      copy_as<typename decltype(to)::type, typename decltype(from)::type>(x, out);
    });
  });
}

void where(const View& condition, const View& a, const View& b, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    walk(out, condition, a, b).parallel_rows([](int64_t n, char* const* at, const int64_t* stride) {
      for (int64_t i = 0; i < n; ++i) {
        const bool first = *reinterpret_cast<const bool*>(at[1] + i * stride[1]);
        const char* from = first ? at[2] + i * stride[2] : at[3] + i * stride[3];
        *reinterpret_cast<T*>(at[0] + i * stride[0]) = *reinterpret_cast<const T*>(from);
      }
    });
  });
}

}  // namespace needle::NEEDLE_ISA
