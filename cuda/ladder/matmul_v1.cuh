// v1: one thread a result, and neighbouring threads below each other.  (Lesson 04)
//
// The 32 lanes of a warp have 32 rows of A, so each of their loads is in a sector of its own: 32
// for 128 bytes that were wanted, where 4 would do. The next three steps of p want the rest of the
// same sectors; whether L1 still has them is luck.
// Counter: 32 sectors a request where A is read, and where C is written.
// Limit: 33 sectors for 64 FLOPs.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::matmul_v1 {

__global__ void multiply(const Product x) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  const int column = blockIdx.y * blockDim.y + threadIdx.y;
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
  NEEDLE_LAUNCH((multiply), dim3(ceil_div(x.m, 32), ceil_div(x.n, 8)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v1
