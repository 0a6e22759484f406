// The three passes of a softmax over one row of n numbers, in vectors.  (Lesson 04)
#pragma once

#include <limits>

#include "needle/backend/cpu/exp.h"
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

// Static: the lambdas inside have the same long names in every file.

/// A NaN may get lost here: the exponentials find it again.
[[gnu::always_inline]] static inline float largest_of(int64_t n, const float* x) {
  const float lowest = -std::numeric_limits<float>::infinity();
  Vec<float> largest(lowest);
  vectors<float>(n, [&](auto load, auto) {
    const Vec<float> v = load(x, lowest);
    largest = xsimd::select(v > largest, v, largest);
  });
  return hmax<float>(largest);
}

/// y = exp(x - largest); returns the sum.
[[gnu::always_inline]] static inline float exponentials(int64_t n, const float* x, float largest,
                                                        float* y) {
  const float nothing = -std::numeric_limits<float>::infinity();  // its exponential is 0
  Vec<float> sum(0.0F);
  const Vec<float> shift(largest);
  vectors<float>(n, [&](auto load, auto store) {
    const Vec<float> e = exp<float>(load(x, nothing) - shift);
    store(y, e);
    sum += e;
  });
  return hsum<float>(sum);
}

[[gnu::always_inline]] static inline void divide(int64_t n, float* y, float sum) {
  const Vec<float> by(sum);
  vectors<float>(n, [&](auto load, auto store) { store(y, load(y, 0.0F) / by); });
}

}  // namespace needle::NEEDLE_ISA
