// float16 and bfloat16: floating-point numbers of two bytes.  (Lesson 02)
//
//             sign  exponent  fraction   largest   smallest normal
//   float16    1       5         10       65504        2^-14        IEEE 754 binary16
//   bfloat16   1       8          7       3.4e38       2^-126       the upper half of a float32
//
// They are for keeping numbers, not for computing: they have conversions and no arithmetic. Both
// are exact as a float. The way back rounds once, to the nearest, of two as near to the even one;
// what is too large becomes infinity, NaN stays NaN, and subnormals are kept.
//
// Kernels use this too, so everything here is inlined by force: see backend/cpu/isa.h.
#pragma once

#include <cstdint>
#include <type_traits>

namespace needle {

namespace half {

[[gnu::always_inline]] constexpr uint32_t bits_of(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
[[gnu::always_inline]] constexpr float float_of(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

inline constexpr int32_t kInfinity = 0x7f800000;  // of a float

/// condition ? a : b without a branch, so that a loop over many numbers can use vectors.
[[gnu::always_inline]] constexpr uint32_t select(bool condition, uint32_t a, uint32_t b) {
  return b ^ ((a ^ b) & -uint32_t{condition});
}

/// A float whose rounding to a half is that of x: x cut to 13 digits, of which the last is 1 if that
/// took something away. Two digits more than a half has, they keep what is no tie from becoming one,
/// as the nearest float would not. Boldo & Melquiond, "Emulation of a FMA and correctly rounded
/// sums", IEEE Trans. Computers 57(4), 2008. The float holds them all: of its subnormals only those
/// have fewer digits that are less than half of the smallest bfloat16.
[[gnu::always_inline]] constexpr float odd_float(double x) {
  constexpr uint64_t last = uint64_t{1} << 40, below = last - 1;
  const auto bits = __builtin_bit_cast(uint64_t, x);
  const uint64_t inexact = ((bits & below) + below) & last;
  return static_cast<float>(__builtin_bit_cast(double, (bits & ~below) | inexact));
}

template <class T>
[[gnu::always_inline]] constexpr float odd_float(T x) {
  if constexpr (std::is_same_v<T, float> || sizeof(T) == 1) {
    return static_cast<float>(x);
  } else if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
    // The same on the way to the 53 digits of a double.
    static_assert(std::is_signed_v<T>);
    constexpr uint64_t last = uint64_t{1} << 11, below = last - 1, most = uint64_t{1} << 53;
    const auto bits = static_cast<uint64_t>(x);
    const uint64_t cut = (bits & ~below) | (((bits & below) + below) & last);
    const uint64_t large = -uint64_t{bits + most > 2 * most};  // a mask: there is no branch
    return odd_float(static_cast<double>(static_cast<T>(bits ^ ((bits ^ cut) & large))));
  } else {
    return odd_float(static_cast<double>(x));
  }
}

[[gnu::always_inline]] constexpr uint16_t round_to_float16(float x) {
  const uint32_t sign = bits_of(x) >> 16 & 0x8000;
  const auto size = static_cast<int32_t>(bits_of(x) & 0x7fffffff);
  // The exponent's bias is 112 less. Adding just below half of what is cut off, and the last bit
  // kept, carries into the rest where rounding does, and from the largest number to infinity.
  const int32_t normal = (size - (112 << 23) + 0xfff + (size >> 13 & 1)) >> 13;
  // Below 2^-14: beside 0.5 a float has no digits smaller than 2^-24, which are what is kept.
  const uint32_t small = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
  const int32_t nan = 0x7e00 | (size >> 13 & 0x3ff);
  const uint32_t finite = select(size < 113 << 23, small, normal);
  const uint32_t special = select(size > kInfinity, nan, 0x7c00);
  return static_cast<uint16_t>(sign | select(size < 143 << 23, finite, special));
}

[[gnu::always_inline]] constexpr float widen_float16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} << 16 & 0x80000000;
  const int32_t size = bits & 0x7fff;
  const uint32_t bias = select(size < 0x7c00, 112u << 23, 224u << 23);  // infinity, NaN: up to 255
  const uint32_t small = bits_of(static_cast<float>(size) * 0x1p-24f);
  return float_of(sign | select(size < 0x400, small, (size << 13) + bias));
}

[[gnu::always_inline]] constexpr uint16_t round_to_bfloat16(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  // Rounding could make a NaN infinite; one bit more makes sure that it stays one.
  const bool nan = static_cast<int32_t>(bits & 0x7fffffff) > kInfinity;
  return static_cast<uint16_t>(select(nan, bits | 0x400000, rounded) >> 16);
}

[[gnu::always_inline]] constexpr float widen_bfloat16(uint16_t bits) {
  return float_of(uint32_t{bits} << 16);
}

}  // namespace half

struct float16 {
  uint16_t bits;

  float16() = default;
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  [[gnu::always_inline]] constexpr explicit float16(T x)
      : bits(half::round_to_float16(half::odd_float(x))) {}
  [[gnu::always_inline]] static constexpr float16 from_bits(uint16_t bits) {
    float16 x = {};
    x.bits = bits;
    return x;
  }
  [[gnu::always_inline]] constexpr explicit operator float() const {
    return half::widen_float16(bits);
  }
};

struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  [[gnu::always_inline]] constexpr explicit bfloat16(T x)
      : bits(half::round_to_bfloat16(half::odd_float(x))) {}
  [[gnu::always_inline]] static constexpr bfloat16 from_bits(uint16_t bits) {
    bfloat16 x = {};
    x.bits = bits;
    return x;
  }
  [[gnu::always_inline]] constexpr explicit operator float() const {
    return half::widen_bfloat16(bits);
  }
};

template <class T>
inline constexpr bool is_half_v = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

}  // namespace needle
