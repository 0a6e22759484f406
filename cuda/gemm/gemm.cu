// Which kernel computes a product.  (Lesson 04)
#include "cuda/gemm/gemm.h"

#include "cuda/gemm/host.h"
#include "cuda/gemm/partial.cuh"

namespace needle::NEEDLE_GPU {
namespace {

/// One product instead of a batch where all have the same b and the a and c lie one below the other.
Problem folded(const Problem& p) {
  const bool same_b = p.b.batch == 0, below = p.a.batch == p.m * p.a.row && p.c.batch == p.m * p.c.row;
  if (p.batch == 1 || !same_b || !below) return p;
  Problem one = p;
  one.m = p.m * p.batch;
  one.batch = 1;
  return one;
}

}  // namespace

void multiply(const Problem& problem) {
  const Problem p = folded(problem);
  if (p.m * p.n * p.batch == 0) return;
  if (multiply_thin(p)) return;
#ifdef __CUDACC__
  if (multiply_wgmma(p) || multiply_mma(p)) return;
#endif
  multiply_simt(p);
}

int64_t workspace_bytes(const Problem& problem) {
  const Problem p = folded(problem);
  // As many slices as would fill the GPU with the smallest tiles that any kernel has, at most.
  const int64_t tiles = ceil_div(p.m, 64) * ceil_div(p.n, 64) * p.batch;
  const int64_t places = 4 * int64_t{multiprocessors()};
  if (tiles == 0 || tiles > places || p.k < 512) return 0;
  const int64_t slices = places / tiles < kMostSlices ? places / tiles : kMostSlices;
  return partial_bytes(p, slices < p.k / 256 ? slices : p.k / 256);
}

}  // namespace needle::NEEDLE_GPU
