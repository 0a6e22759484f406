// matmul v3: the inner loop in vectors.  (Lesson 04)
//
// The same 6 bytes per FLOP, but as many elements in a step as a vector has: 8 with AVX2, so at
// best 8 times v2. Found: 13 to 27 GFLOP/s. All of B comes from L3 again for every row of C, 2
// bytes per FLOP, and other programs use L3, too.
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void matmul_v3(const View& a, const View& b, const View& out) {
  const Product x = product_of(a, b, out);
  for (int64_t i = 0; i < x.m; ++i) {
    float* c = x.c + i * x.n;
    for (int64_t j = 0; j < x.n; ++j) c[j] = 0;
    for (int64_t p = 0; p < x.k; ++p) {
      const Vec<float> ap(x.a[i * x.k + p]);
      const float* row = x.b + p * x.n;
      vectors<float>(x.n, [&](auto load, auto store) {
        store(c, fma<float>(ap, load(row, 0.0F), load(c, 0.0F)));
      });
    }
  }
}

}  // namespace needle::NEEDLE_ISA
