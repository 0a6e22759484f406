// matmul v2: the inner two loops change places.  (Lesson 04)
//
// B and C are now read along their rows, and no addition waits for the one before. But C is loaded
// and stored for each product: 6 bytes per FLOP. One store a cycle: 2 FLOPs a cycle, 6 GFLOP/s.
// Found: 4 to 5.6.
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void matmul_v2(const View& a, const View& b, const View& out) {
  const Product x = product_of(a, b, out);
  for (int64_t i = 0; i < x.m; ++i) {
    float* c = x.c + i * x.n;
    for (int64_t j = 0; j < x.n; ++j) c[j] = 0;
    for (int64_t p = 0; p < x.k; ++p) {
      const float ap = x.a[i * x.k + p];
      for (int64_t j = 0; j < x.n; ++j) c[j] += ap * x.b[p * x.n + j];
    }
  }
}

}  // namespace needle::NEEDLE_ISA
