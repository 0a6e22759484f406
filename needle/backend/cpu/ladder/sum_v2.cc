// sum v2: eight sums that do not wait for each other.  (Lesson 04)
//
// Two additions can begin in each cycle; to keep them busy, 6 to 8 must be under way. Then one
// addition loads 4 bytes: 26 GB/s. Found: 22 to 25.
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

// The compiler would see the vector in the eight sums; that is the next idea.
[[gnu::optimize("no-tree-vectorize")]] void sum_v2(Reduce /*op*/, const View& x, const View& out) {
  constexpr int64_t kChains = 8;
  const float* from = x.as<float>();
  const int64_t n = x.size();
  float sum[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= n; i += kChains) {
#pragma GCC unroll 8
    for (int64_t u = 0; u < kChains; ++u) sum[u] += from[i + u];
  }
  for (; i < n; ++i) sum[0] += from[i];
  for (int64_t u = 1; u < kChains; ++u) sum[0] += sum[u];
  *out.as<float>() = sum[0];
}

}  // namespace needle::NEEDLE_ISA
