// matmul v1: the definition, three loops.  (Lesson 04)
//
// Two numbers are loaded for a multiplication and an addition: 4 bytes per FLOP. Each addition
// waits for the one before it, 3 or 4 cycles: 2 GFLOP/s at best. Found for n = 1024: 0.5. B is read
// down its columns, every number from another cache line.
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void matmul_v1(const View& a, const View& b, const View& out) {
  const Product x = product_of(a, b, out);
  for (int64_t i = 0; i < x.m; ++i) {
    for (int64_t j = 0; j < x.n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < x.k; ++p) sum += x.a[i * x.k + p] * x.b[p * x.n + j];
      x.c[i * x.n + j] = sum;
    }
  }
}

}  // namespace needle::NEEDLE_ISA
