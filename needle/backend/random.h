// Philox 4x32-10: random numbers from a counter, the same on every device.  (Lesson 02)
//
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. There is no
// state: number i is a function of (seed, i), so any thread can compute any part of a stream.
#pragma once

#include <cmath>
#include <cstdint>

namespace needle {

struct Philox {
  uint32_t word[4];
};

/// a * b, all 64 bits. nvcc takes two instructions for it if b is a constant above 2^31.
[[gnu::always_inline]] constexpr uint64_t wide_product(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
  uint64_t product;
  asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(a), "r"(b));
  return product;
#else
  return uint64_t{a} * b;
#endif
}

/// The 128 bits of block `counter` under key `seed`.
[[gnu::always_inline]] constexpr Philox philox(uint64_t seed, uint64_t counter) {
  uint32_t c0 = static_cast<uint32_t>(counter);
  uint32_t c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = 0;
  uint32_t c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed);
  uint32_t k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = wide_product(c0, 0xD2511F53);
    const uint64_t b = wide_product(c2, 0xCD9E8D57);
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(b);
    c3 = static_cast<uint32_t>(a);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

/// Number i of the uniform stream, in [0, 1): 24 random bits, so exact in float32 as well.
/// Number i uses word i % 4 of block i / 4.
[[gnu::always_inline]] inline double philox_uniform(uint64_t seed, uint64_t i) {
  return (philox(seed, i / 4).word[i % 4] >> 8) * 0x1p-24;
}

/// Number i of the standard normal stream (Box-Muller, in double): numbers 2j and 2j + 1 are the
/// cosine and sine branch of words 2j % 4 and 2j % 4 + 1 of block 2j / 4.
[[gnu::always_inline]] inline double philox_normal(uint64_t seed, uint64_t i) {
  const Philox block = philox(seed, i / 4);
  const uint64_t pair = i % 4 & ~uint64_t{1};
  // + 0.5 keeps the logarithm away from 0.
  const double u = (block.word[pair] + 0.5) * 0x1p-32;
  const double angle = 6.283185307179586476925286766559 * (block.word[pair + 1] * 0x1p-32);
  return std::sqrt(-2.0 * std::log(u)) * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace needle
