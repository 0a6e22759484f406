// float16 and bfloat16 against their definition.  (Lesson 02)
#include "needle/array/half.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace needle;

namespace {

/// The value of a number of two bytes by its definition: 1 sign bit, `exponent_bits`, the rest
/// fraction.
double by_definition(int bits, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits;
  const int largest = (1 << exponent_bits) - 1, bias = largest / 2;
  const int exponent = bits >> fraction_bits & largest;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == largest) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  const int whole = (1 << fraction_bits) + fraction;
  return sign * std::ldexp(whole, exponent - bias - fraction_bits);
}

template <class H>
constexpr int kExponentBits = std::is_same_v<H, float16> ? 5 : 8;

template <class H>
constexpr int kInfinity = ((1 << kExponentBits<H>)-1) << (15 - kExponentBits<H>);

/// The number whose bits these are; where infinity stands, what would come there if it did not.
template <class H>
double value(int bits) {
  if (bits != kInfinity<H>) return by_definition(bits, kExponentBits<H>);
  return std::ldexp(1, 1 << (kExponentBits<H> - 1));
}

}  // namespace

TEST_SUITE_BEGIN("half");

TEST_CASE_TEMPLATE("all 65536 values are exact as a float, and come back", H, float16, bfloat16) {
  int wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    const double expected = by_definition(i, kExponentBits<H>);
    const auto got = static_cast<float>(H::from_bits(static_cast<uint16_t>(i)));
    if (std::isnan(expected)) {
      wrong += !std::isnan(got) || !std::isnan(static_cast<float>(H(got)));
      wrong += std::signbit(static_cast<float>(H(got))) != (i >> 15);
      continue;
    }
    wrong += got != expected || std::signbit(got) != (i >> 15);
    wrong += H(got).bits != i || H(expected).bits != i;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("between two values: the nearer, of two as near the even one", H, float16,
                   bfloat16) {
  const float above = std::numeric_limits<float>::infinity();
  int wrong = 0;
  for (int i = 0; i < kInfinity<H>; ++i) {  // up to infinity
    const double low = value<H>(i), high = value<H>(i + 1), middle = low + (high - low) / 2;
    const int even = i % 2 ? i + 1 : i;
    for (const int sign : {1, -1}) {
      const int minus = sign < 0 ? 0x8000 : 0;
      const auto rounds = [&](auto x, int to) { wrong += H(sign * x).bits != (minus | to); };
      rounds(static_cast<float>(middle), even);
      rounds(middle, even);
      rounds(std::nextafter(static_cast<float>(middle), 0.0f), i);
      rounds(std::nextafter(static_cast<float>(middle), above), i + 1);
      // A float in between would be the middle itself.
      rounds(std::nextafter(middle, 0.0), i);
      rounds(std::nextafter(middle, 1e300), i + 1);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("numbers without end or beyond it", H, float16, bfloat16) {
  for (const double x : {1e39, 1e308, double{INFINITY}}) {
    CHECK(H(x).bits == kInfinity<H>);
    CHECK(H(-x).bits == (kInfinity<H> | 0x8000));
  }
  CHECK(H(std::numeric_limits<float>::max()).bits == kInfinity<H>);
  CHECK(std::isnan(static_cast<float>(H(std::nan("")))));
  CHECK(H(1e-300).bits == 0);
  CHECK(H(-1e-300).bits == 0x8000);
  CHECK(H(std::numeric_limits<float>::denorm_min()).bits == 0);
}

TEST_CASE("integers are rounded once") {
  CHECK(float16(2049).bits == float16(2048.0f).bits);  // a tie
  CHECK(float16(2051).bits == float16(2052.0f).bits);
  CHECK(float16(true).bits == float16(1.0f).bits);
  CHECK(static_cast<float>(float16(65519)) == 65504);
  CHECK(static_cast<float>(float16(65520)) == INFINITY);
  // Neither a float nor a double tells these from a tie.
  constexpr int64_t tie = (int64_t{1} << 62) + (int64_t{1} << 54);
  CHECK(bfloat16(tie).bits == bfloat16(0x1p62f).bits);
  CHECK(bfloat16(tie + 1).bits == bfloat16(0x1.02p62f).bits);
  CHECK(bfloat16(-tie - 1).bits == bfloat16(-0x1.02p62f).bits);
  CHECK(bfloat16(tie - 1).bits == bfloat16(0x1p62f).bits);
  CHECK(bfloat16(std::numeric_limits<int64_t>::max()).bits == bfloat16(0x1p63f).bits);
  CHECK(bfloat16(std::numeric_limits<int64_t>::min()).bits == bfloat16(-0x1p63f).bits);
}

TEST_SUITE_END();
