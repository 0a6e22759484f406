// matmul v4: a tile of C stays in registers.  (Lesson 04)
//
// 6 x 2 vectors of sums; a step of p loads 6 numbers of A and 2 vectors of B for 192 FLOPs (AVX2):
// 0.46 bytes per FLOP. The loads are no longer the limit; the roof is the multiply-adds. Found: 38
// to 48 GFLOP/s, less than half of that. The numbers that a tile loads are not near: k rows of B,
// one line of each.
#include "needle/backend/cpu/ladder/tile.h"

namespace needle::NEEDLE_ISA {

void matmul_v4(const View& a, const View& b, const View& out) {
  const Product x = product_of(a, b, out);
  const Covered whole = covered(x);
  for (int64_t j = 0; j < whole.n; j += kTileColumns) {
    for (int64_t i = 0; i < whole.m; i += kTileRows) {
      tile(x.k, x.a + i * x.k, x.k, 1, x.b + j, x.n, x.c + i * x.n + j, x.n, false);
    }
  }
  edges(x, whole);
}

}  // namespace needle::NEEDLE_ISA
