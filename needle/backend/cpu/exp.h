// Exponentials of vectors.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {

/// x * 2^k for a whole k up to 127. Below 2^-126: 0 where the CPU has no instruction for this.
[[gnu::always_inline]] inline Vec<float> times_power(Vec<float> x, Vec<float> k) {
#ifdef __AVX512F__  // xsimd 8.1 turns k into integers and back
  return _mm512_scalef_ps(x, k);
#else
  return xsimd::ldexp(x, xsimd::to_int(xsimd::max(k, Vec<float>(-127))));
#endif
}

/// exp(x). NaN stays.
template <class T>
[[gnu::always_inline]] inline Vec<T> exp(Vec<T> x) {
#ifdef __AVX512F__  // xsimd 8.1 multiplies and adds separately here, and compares twice
  if constexpr (sizeof(T) == 4) {
    using V = Vec<float>;
    // Beyond these it is infinite, or 0. In this order NaN stays.
    x = xsimd::max(V(-104), xsimd::min(V(89), x));
    // x = k log(2) + r, with a log(2) in two parts, so that k times the first one is exact. exp(r) is
    // 1 + r + r^2 (a polynomial, fitted, relative error 3e-9).
    const V k = xsimd::nearbyint(x * V(1.44269504F));
    const V r = fma<T>(k, V(2.12194440e-4F), fma<T>(k, V(-0.693359375F), x));
    const V r2 = r * r;
    const V low = fma<T>(V(0.16666521F), r, V(0.49999994F));
    const V high = fma<T>(fma<T>(V(0.0013814598F), r, V(0.0083687166F)), r, V(0.04166839F));
    return times_power(fma<T>(fma<T>(high, r2, low), r2, r + V(1)), k);
  }
#endif
  return xsimd::exp(x);
}

}  // namespace needle::NEEDLE_ISA
