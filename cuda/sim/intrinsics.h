// CUDA's arithmetic functions that C++ does not have.  (Lesson 04)
//
// Those that are fast and inexact on a GPU are exact here: what __expf loses is not simulated.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

// --- bits ---
constexpr int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
constexpr unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
constexpr float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
constexpr float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
constexpr long long __double_as_longlong(double x) { return __builtin_bit_cast(long long, x); }
constexpr double __longlong_as_double(long long x) { return __builtin_bit_cast(double, x); }

constexpr int __popc(unsigned x) { return __builtin_popcount(x); }
constexpr int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
constexpr int __ffs(int x) { return __builtin_ffs(x); }
constexpr int __ffsll(long long x) { return __builtin_ffsll(x); }
constexpr int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
constexpr int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
constexpr unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
constexpr unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
constexpr int __mulhi(int a, int b) { return static_cast<int>(int64_t{a} * b >> 32); }
constexpr unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
constexpr int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
constexpr unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((uint64_t{high} << 32 | low) << (shift & 31)) >> 32);
}
constexpr unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}

// --- floating point ---
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __frsqrt_rn(float x) { return 1 / std::sqrt(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
// The C library declares these names too, without having the functions.
inline float __expf(float x) noexcept { return std::exp(x); }
inline float __exp10f(float x) noexcept { return std::pow(10.0f, x); }
inline float __logf(float x) noexcept { return std::log(x); }
inline float __log2f(float x) noexcept { return std::log2(x); }
inline float __log10f(float x) noexcept { return std::log10(x); }
inline float __powf(float x, float y) noexcept { return std::pow(x, y); }
inline float __sinf(float x) noexcept { return std::sin(x); }
inline float __cosf(float x) noexcept { return std::cos(x); }
inline float __tanf(float x) noexcept { return std::tan(x); }
inline float normcdff(float x) { return 0.5f * std::erfc(-x * 0.70710678f); }
inline float sinpif(float x) { return std::sin(3.14159265358979f * x); }
inline float cospif(float x) { return std::cos(3.14159265358979f * x); }

inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float2int_rd(float x) { return static_cast<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return static_cast<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return static_cast<unsigned>(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

// --- min and max: NaN loses against a number, as with fminf ---
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return y < x || x != x ? y : x;
}
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return x < y || x != x ? y : x;
}

// --- loads and stores with a hint for the caches: there are none here ---
// Inlined by force: the access then lies on the line that calls.
template <class T>
[[gnu::always_inline]] inline T __ldg(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline T __ldca(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline T __ldcg(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline T __ldcs(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline T __ldlu(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline T __ldcv(const T* from) {
  return *from;
}
template <class T>
[[gnu::always_inline]] inline void __stwb(T* to, T value) {
  *to = value;
}
template <class T>
[[gnu::always_inline]] inline void __stcg(T* to, T value) {
  *to = value;
}
template <class T>
[[gnu::always_inline]] inline void __stcs(T* to, T value) {
  *to = value;
}
template <class T>
[[gnu::always_inline]] inline void __stwt(T* to, T value) {
  *to = value;
}
