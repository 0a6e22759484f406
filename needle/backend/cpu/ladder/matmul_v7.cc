// matmul v7: the library's gemm() on one thread.  (Lesson 04)
//
// The same idea with what a library needs beside it: any strides without a copy of the whole, edges
// of any size at full speed, float64, blocks cut to the caches of this machine. Found: as fast as
// v6 where v6 is at its best, and as fast everywhere else.
#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void matmul_v7(const View& a, const View& b, const View& out) {
  const Product x = product_of(a, b, out);
  gemm<float>(x.m, x.n, x.k, {x.a, x.k, 1}, {x.b, x.n, 1}, {x.c, x.n, 1}, false);
}

}  // namespace needle::NEEDLE_ISA
