// Which kernel computes a product.  (Lesson 04)
#include "cuda/gemm/gemm.h"

namespace needle::NEEDLE_GPU {
namespace {

/// One product instead of a batch where all have the same b and the a and c lie one below the other.
Problem folded(const Problem& p) {
  const bool same_b = p.b.batch == 0;
  const bool below = p.a.batch == p.m * p.a.row && p.c.batch == p.m * p.c.row;
  if (p.batch == 1 || !same_b || !below) return p;
  Problem one = p;
  one.m = p.m * p.batch;
  one.batch = 1;
  return one;
}

}  // namespace

bool multiply(const Problem& problem) {
  const Problem p = folded(problem);
  constexpr int64_t most = int64_t{1} << 30;  // the kernels count rows, columns and k in an int
  if (p.m >= most || p.n >= most || p.k >= most || p.k == 0) return false;
  if (multiply_thin(p)) return true;
#ifdef __CUDACC__
  if (multiply_wgmma(p) || multiply_mma(p)) return true;
#endif
  return multiply_float(p);
}

}  // namespace needle::NEEDLE_GPU
