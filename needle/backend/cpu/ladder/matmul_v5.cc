// matmul v5: blocks that stay in the caches.  (Lesson 04)
//
// Only kDepth rows of B and kRows rows of A are gone through before they are used again: the bytes
// per FLOP are those of v4, but they come from L1 and L2. C is loaded and stored once for each
// block: 4 bytes for kDepth FLOPs. Found: 52 to 57 GFLOP/s. For n = 1024 the rows of B are 4096
// bytes apart: all their lines want the same places of the cache. For n = 1040 they do not: 79
// GFLOP/s.
#include "needle/backend/cpu/ladder/tile.h"

namespace needle::NEEDLE_ISA {

void matmul_v5(const View& a, const View& b, const View& out) {
  constexpr int64_t kDepth = 256;            // kDepth x kTileColumns of B stays in L1
  constexpr int64_t kRows = 16 * kTileRows;  // kRows x kDepth of A stays in L2
  const Product x = product_of(a, b, out);
  const Covered whole = x.k == 0 ? Covered{0, 0} : covered(x);
  for (int64_t p = 0; p < x.k; p += kDepth) {
    const int64_t depth = least(kDepth, x.k - p);
    for (int64_t top = 0; top < whole.m; top += kRows) {
      const int64_t bottom = least(top + kRows, whole.m);
      for (int64_t j = 0; j < whole.n; j += kTileColumns) {
        for (int64_t i = top; i < bottom; i += kTileRows) {
          tile(depth, x.a + i * x.k + p, x.k, 1, x.b + p * x.n + j, x.n, x.c + i * x.n + j, x.n,
               p > 0);
        }
      }
    }
  }
  edges(x, whole);
}

}  // namespace needle::NEEDLE_ISA
