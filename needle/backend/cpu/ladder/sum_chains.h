// The loop of sum v4, which v5 calls for each piece.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

/// The sum of n numbers, in eight chains of vectors.
[[gnu::always_inline]] inline float sum_in_chains(const float* x, int64_t n) {
  constexpr int64_t kChains = 8, kStep = kChains * kWidth<float>;
  Vec<float> sum[kChains];
  for (int64_t u = 0; u < kChains; ++u) sum[u] = Vec<float>(0.0F);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
#pragma GCC unroll 8
    for (int64_t u = 0; u < kChains; ++u) {
      sum[u] += Vec<float>::load_unaligned(x + i + u * kWidth<float>);
    }
  }
  vectors<float>(n - i, [&](auto load, auto) { sum[0] += load(x + i, 0.0F); });
  for (int64_t u = 1; u < kChains; ++u) sum[0] += sum[u];
  return hsum<float>(sum[0]);
}

}  // namespace needle::NEEDLE_ISA
