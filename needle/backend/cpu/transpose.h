// Turning a square of numbers over in registers.  (Lesson 04)
#pragma once

#include <utility>

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {

/// Of two rows of a matrix, s apart: each block of s elements that lies above the diagonal changes
/// places with the one below it.
template <class T, int s, int... lane>
[[gnu::always_inline]] inline void exchange(Vec<T>& upper, Vec<T>& lower,
                                            std::integer_sequence<int, lane...> /*lanes*/) {
  using Register = typename Vec<T>::register_type;
  constexpr int w = sizeof...(lane);
  const Register a = upper, b = lower;
  upper = Vec<T>(__builtin_shufflevector(a, b, (lane & s ? w + lane - s : lane)...));
  lower = Vec<T>(__builtin_shufflevector(a, b, (lane & s ? w + lane : lane + s)...));
}

/// rows[i][j] <-> rows[j][i], for kWidth rows: first single elements, then blocks of 2, 4, ...
template <class T, int s = 1>
[[gnu::always_inline]] inline void transpose(Vec<T>* rows) {
  constexpr int w = static_cast<int>(kWidth<T>);
  if constexpr (s < w) {
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) {
      if (!(i & s)) exchange<T, s>(rows[i], rows[i + s], std::make_integer_sequence<int, w>{});
    }
    transpose<T, 2 * s>(rows);
  }
}

/// columns[j] = element j of rows 0 ... `count` - 1 at `from`, `row` apart; the lanes behind repeat
/// the last row. With a `depth` of 2, a pair of halves, unchanged, takes the place of one float.
template <class T, int64_t depth = 1, class S>
[[gnu::always_inline]] inline void load_columns(const S* from, int64_t row, int64_t count,
                                                Vec<T>* columns) {
#pragma GCC unroll 16
  for (int64_t r = 0; r < kWidth<T>; ++r) {
    const S* p = from + (r < count ? r : count - 1) * row;
    if constexpr (depth == 1) {
      columns[r] = load_wide<T>(p);
    } else {
      columns[r] = Vec<T>::load_unaligned(reinterpret_cast<const T*>(p));
    }
  }
  transpose<T>(columns);
}

}  // namespace needle::NEEDLE_ISA
