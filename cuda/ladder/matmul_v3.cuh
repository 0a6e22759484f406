// v3: tiles in shared memory.  (Lesson 04)
//
// A block computes 32 x 32 results. It brings 32 x 32 numbers of A and of B into shared memory,
// each thread one of each, and uses every one of them 32 times. The first barrier: nobody reads
// before all have written. The second: nobody overwrites before all have read.
// Counter: loads ask global memory for a twentieth of the bytes; barriers appear.
// Limit: it is still two requests for 64 FLOPs, now of shared memory. Only where the bytes come
// from has changed.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::matmul_v3 {

constexpr int kSide = 32;

__global__ void multiply(const Product x) {
  __shared__ float as[kSide][kSide];
  __shared__ float bs[kSide][kSide];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int row = blockIdx.y * kSide + ty, column = blockIdx.x * kSide + tx;
  float sum = 0;
  for (int begin = 0; begin < x.k; begin += kSide) {
    const int pa = begin + tx, pb = begin + ty;
    as[ty][tx] = row < x.m && pa < x.k ? x.a[row * x.k + pa] : 0;
    bs[ty][tx] = pb < x.k && column < x.n ? x.b[pb * x.n + column] : 0;
    __syncthreads();
    for (int p = 0; p < kSide; ++p) {
      const float a = as[ty][p];
      const float b = bs[p][tx];
      sum += a * b;
    }
    __syncthreads();
  }
  if (row < x.m && column < x.n) x.c[row * x.n + column] = sum;
}

inline void run(const View& a, const View& b, const View& c) {
  const Product x(a, b, c);
  if (x.m == 0 || x.n == 0) return;
  const dim3 block(kSide, kSide);
  NEEDLE_LAUNCH((multiply), dim3(ceil_div(x.n, kSide), ceil_div(x.m, kSide)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v3
