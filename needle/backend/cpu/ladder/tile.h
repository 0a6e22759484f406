// The register tile of matmul v4, which v5 and v6 feed in other ways.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

// 6 x 2 sums, two vectors of B and one of A: 15 of 16 registers.
inline constexpr int64_t kTileRows = 6;
inline constexpr int64_t kTileColumns = 2 * kWidth<float>;

/// kTileRows x kTileColumns of C (+)= A B, k steps deep. A's element (i, p) is at
/// a[i * a_row + p * a_column]; the rows of B and C are compact.
[[gnu::always_inline]] inline void tile(int64_t k, const float* a, int64_t a_row, int64_t a_column,
                                        const float* b, int64_t b_row, float* c, int64_t c_row,
                                        bool accumulate) {
  using V = Vec<float>;
  constexpr int64_t w = kWidth<float>;
  V sum[kTileRows][2];
#pragma GCC unroll 6
  for (int64_t i = 0; i < kTileRows; ++i) sum[i][0] = sum[i][1] = V(0.0F);
  for (int64_t p = 0; p < k; ++p) {
    const V b0 = V::load_unaligned(b + p * b_row);
    const V b1 = V::load_unaligned(b + p * b_row + w);
#pragma GCC unroll 6
    for (int64_t i = 0; i < kTileRows; ++i) {
      const V ai(a[i * a_row + p * a_column]);
      sum[i][0] = fma<float>(ai, b0, sum[i][0]);
      sum[i][1] = fma<float>(ai, b1, sum[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < kTileRows; ++i) {
    float* row = c + i * c_row;
    if (accumulate) {
      sum[i][0] += V::load_unaligned(row);
      sum[i][1] += V::load_unaligned(row + w);
    }
    sum[i][0].store_unaligned(row);
    sum[i][1].store_unaligned(row + w);
  }
}

/// How much of m rows and n columns whole tiles cover.
struct Covered {
  int64_t m, n;
};

[[gnu::always_inline]] inline Covered covered(const Product& x) {
  return {x.m / kTileRows * kTileRows, x.n / kTileColumns * kTileColumns};
}

/// What whole tiles leave at the right and at the bottom, as v3 does it.
[[gnu::always_inline]] inline void edges(const Product& x, const Covered& done) {
  for (int64_t i = 0; i < x.m; ++i) {
    const int64_t first = i < done.m ? done.n : 0;
    float* c = x.c + i * x.n + first;
    for (int64_t j = first; j < x.n; ++j) c[j - first] = 0;
    for (int64_t p = 0; p < x.k && first < x.n; ++p) {
      const Vec<float> ap(x.a[i * x.k + p]);
      const float* row = x.b + p * x.n + first;
      vectors<float>(x.n - first, [&](auto load, auto store) {
        store(c, fma<float>(ap, load(row, 0.0F), load(c, 0.0F)));
      });
    }
  }
}

}  // namespace needle::NEEDLE_ISA
