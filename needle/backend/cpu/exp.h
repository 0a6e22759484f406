// Exponentials of vectors.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {

/// exp(r) 2^k for r from -log(2) / 2 to log(2) / 2 and a whole k up to 127. Below 2^-126: 0 where the
/// CPU has no instruction for this.
[[gnu::always_inline]] inline Vec<float> exp_times_power(Vec<float> r, Vec<float> k) {
  using V = Vec<float>;
  // 1 + r + r^2 (a polynomial, fitted, relative error 3e-9).
  const V r2 = r * r;
  const V low = fma<float>(V(0.16666521F), r, V(0.49999994F));
  const V high = fma<float>(fma<float>(V(0.0013814598F), r, V(0.0083687166F)), r, V(0.04166839F));
  const V p = fma<float>(fma<float>(high, r2, low), r2, r + V(1));
#ifdef __AVX512F__  // xsimd 8.1 turns k into integers and back
  return _mm512_scalef_ps(p, k);
#else
  return xsimd::ldexp(p, xsimd::to_int(xsimd::max(k, V(-127))));
#endif
}

/// exp(x). NaN stays.
template <class T>
[[gnu::always_inline]] inline Vec<T> exp(Vec<T> x) {
#ifdef __AVX512F__  // xsimd 8.1 neither multiplies and adds in one, nor has 2^k in one
  if constexpr (sizeof(T) == 4) {
    // Beyond these it is infinite, or 0. In this order NaN stays.
    x = xsimd::max(Vec<T>(-104), xsimd::min(Vec<T>(89), x));
    // x = k log(2) + r, with a log(2) in two parts, so that k times the first one is exact.
    const Vec<T> k = xsimd::nearbyint(x * Vec<T>(1.44269504F));
    const Vec<T> r = fma<T>(k, Vec<T>(2.12194440e-4F), fma<T>(k, Vec<T>(-0.693359375F), x));
    return exp_times_power(r, k);
  }
#endif
  return xsimd::exp(x);
}

}  // namespace needle::NEEDLE_ISA
