// Random numbers, as many at a time as a vector has lanes, and dropout.  (Lessons 04 and 05)
#include "needle/backend/random.h"

#include "needle/backend/cpu/rows.h"
#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

using Words = Vec<uint32_t>;
using Products = Vec<uint64_t>;

/// The products of the even lanes: 32 x 32 -> 64 bits.
[[gnu::always_inline]] inline Products multiply_even(Products a, Products b) {
#if defined(__AVX512F__)
  return _mm512_mul_epu32(a, b);
#elif defined(__AVX2__)
  return _mm256_mul_epu32(a, b);
#elif defined(__SSE2__)
  return _mm_mul_epu32(a, b);
#else
  alignas(64) uint64_t x[kWidth<uint64_t>], y[kWidth<uint64_t>];
  a.store_aligned(x);
  b.store_aligned(y);
  for (int64_t i = 0; i < kWidth<uint64_t>; ++i) x[i] = uint64_t{uint32_t(x[i])} * uint32_t(y[i]);
  return Products::load_aligned(x);
#endif
}

/// The high and the low words of the products of all lanes with one number.
struct WideProduct {
  Words high, low;
};

[[gnu::always_inline]] inline WideProduct multiply(Words words, uint32_t factor) {
  const Products a = xsimd::bitwise_cast<Products>(words);
  const Products b(factor);
  const Products low_half(0xffffffffU);
  const Products even = multiply_even(a, b), odd = multiply_even(a >> 32, b);
  return {xsimd::bitwise_cast<Words>((even >> 32) | (odd & ~low_half)),
          xsimd::bitwise_cast<Words>((even & low_half) | (odd << 32))};
}

constexpr int64_t kBlocks = kWidth<uint32_t>;
constexpr int64_t kNumbers = 4 * kBlocks;

/// The numbers of kBlocks blocks, uniform in [0, 1): `philox` and `philox_uniform` of random.h, block
/// by block in the lanes.
void uniform_blocks(uint64_t seed, uint64_t first, float* out) {
  alignas(64) uint32_t low[kBlocks], high[kBlocks];
  for (int64_t i = 0; i < kBlocks; ++i) {
    const uint64_t counter = first + static_cast<uint64_t>(i);
    low[i] = static_cast<uint32_t>(counter);
    high[i] = static_cast<uint32_t>(counter >> 32);
  }
  Words c[4] = {Words::load_aligned(low), Words::load_aligned(high), Words(0U), Words(0U)};
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const WideProduct a = multiply(c[0], 0xD2511F53), b = multiply(c[2], 0xCD9E8D57);
    c[0] = b.high ^ c[1] ^ Words(k0);
    c[2] = a.high ^ c[3] ^ Words(k1);
    c[1] = b.low;
    c[3] = a.low;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  alignas(64) float number[4][kBlocks];
#pragma GCC unroll 4
  for (int word = 0; word < 4; ++word) {
    const auto bits = xsimd::bitwise_cast<Vec<int32_t>>(c[word] >> 8);
    (xsimd::to_float(bits) * Vec<float>(0x1p-24F)).store_aligned(number[word]);
  }
  for (int64_t i = 0; i < kBlocks; ++i) {
    for (int word = 0; word < 4; ++word) out[4 * i + word] = number[word][i];
  }
}

/// Numbers first ... first + n - 1 of the uniform stream.
void uniforms(uint64_t seed, uint64_t first, int64_t n, float* out) {
  alignas(64) float group[kNumbers];
  uint64_t block = first / 4;
  auto skip = static_cast<int64_t>(first % 4);
  for (int64_t i = 0; i < n; skip = 0, block += kBlocks) {
    const int64_t m = least(kNumbers - skip, n - i);
    uniform_blocks(seed, block, m == kNumbers ? out + i : group);
    if (m < kNumbers) std::memcpy(out + i, group + skip, static_cast<size_t>(m) * sizeof(float));
    i += m;
  }
}

/// body(i, m, u) for all i of [0, n): u are the uniform numbers offset + i ... offset + i + m - 1.
template <class Body>
void for_uniforms(uint64_t seed, uint64_t offset, int64_t n, const Body& body) {
  parallel_for(n, kCostlyGrain, [&](int64_t begin, int64_t end) {
    alignas(64) float u[kPiece];
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t m = least(kPiece, end - i);
      uniforms(seed, offset + static_cast<uint64_t>(i), m, u);
      body(i, m, u);
    }
  });
}

template <class T>
void random_as(Random kind, uint64_t seed, uint64_t offset, int64_t n, T* out) {
  if (kind == Random::uniform) {
    for_uniforms(seed, offset, n, [=](int64_t i, int64_t m, const float* u) {
      for (int64_t j = 0; j < m; ++j) out[i + j] = static_cast<T>(u[j]);
    });
  } else {
    parallel_for(n, kCostlyGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<T>(philox_normal(seed, offset + static_cast<uint64_t>(i)));
      }
    });
  }
}

template <class T>
void dropout_as(uint64_t seed, uint64_t offset, double p, int64_t n, const T* x, T* out) {
  const auto bound = static_cast<float>(p);
  const T scale = static_cast<T>(1 / (1 - p));
  const bool past = past_caches(n * int64_t{sizeof(T)});
  for_uniforms(seed, offset, n, [=](int64_t i, int64_t m, float* u) {
    // First 1 or 0, then products: in one loop the compiler would branch.
    vectors<float>(m, [&](auto load, auto store) {
      store(u, xsimd::select(load(u, 0.0F) >= Vec<float>(bound), Vec<float>(1), Vec<float>(0)));
    });
    if constexpr (std::is_same_v<T, float>) {
      const Out<float> to = out_at(out + i, past);
      vectors<float>(m, [&](auto load, auto store) {
        store(to, load(x + i, 0.0F) * Vec<float>(scale) * load(u, 0.0F));
      });
    } else {
      T* __restrict to = out + i;
      for (int64_t j = 0; j < m; ++j) to[j] = x[i + j] * scale * static_cast<T>(u[j]);
    }
  });
}

}  // namespace

void random(Random kind, uint64_t seed, uint64_t offset, const View& out) {
  const View to = stand_in(out, 0);
  visit_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    random_as<T>(kind, seed, offset, out.size(), to.as<T>());
  });
  if (to.data != out.data) copy(to, out);
}

void dropout(uint64_t seed, uint64_t offset, double p, const View& x, const View& out) {
  const View from = compact(x, 1), to = stand_in(out, 0);
  visit_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    dropout_as<T>(seed, offset, p, out.size(), from.as<T>(), to.as<T>());
  });
  if (to.data != out.data) copy(to, out);
}

}  // namespace needle::NEEDLE_ISA
