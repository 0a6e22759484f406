// v2: neighbouring threads beside each other: coalesced.  (Lesson 04)
//
// Only the roles of x and y are exchanged. The lanes of a warp now share a row of A, whose number
// is fetched once for all, and read 32 neighbours of B: 4 sectors, all of them used.
// Counter: sectors a request are at their ideal, 1 for A and 4 for B and C.
// Limit: two requests for 64 FLOPs. L1 takes one a cycle, so a multiprocessor does 32 FLOPs a cycle
// of 256; and 5 sectors, 160 bytes, must come from L2 if L1 does not have them.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::matmul_v2 {

__global__ void multiply(const Product x) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= x.m || column >= x.n) return;
  float sum = 0;
  for (int p = 0; p < x.k; ++p) {
    const float a = x.a[row * x.k + p];
    const float b = x.b[p * x.n + column];
    sum += a * b;
  }
  x.c[row * x.n + column] = sum;
}

inline void run(const View& a, const View& b, const View& c) {
  const Product x(a, b, c);
  if (x.m == 0 || x.n == 0) return;
  const dim3 block(32, 8);
  NEEDLE_LAUNCH((multiply), dim3(ceil_div(x.n, 32), ceil_div(x.m, 8)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v2
