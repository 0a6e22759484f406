// v5: the same tiles without bank conflicts.  (Lesson 04)
//
// A thread's results are 16 apart instead of side by side, so that neighbouring lanes read
// neighbouring words of B. A lies transposed, which puts what two rows of threads read into
// neighbouring banks. And a row of it is 2 words longer than the tile: a warp writes 16 steps of p
// for 2 rows, which then fall into the 32 banks 2 p + row.
// Counter: every shared request is one wavefront; C is written with 4 sectors a request, not 16.
// Limit: 8 wavefronts for 1024 FLOPs, 128 FLOPs a cycle: half of what the units can do.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::matmul_v5 {

constexpr int kSide = 64, kDepth = 16, kThreads = 256;

__global__ void multiply(const Product x) {
  __shared__ float as[kDepth][kSide + 2];
  __shared__ float bs[kDepth][kSide];
  const int t = threadIdx.x, tx = t % 16, ty = t / 16;
  const int top = blockIdx.y * kSide, left = blockIdx.x * kSide;
  float sum[4][4] = {};
  for (int begin = 0; begin < x.k; begin += kDepth) {
    for (int e = t; e < kSide * kDepth; e += kThreads) {
      const int row = top + e / kDepth, pa = begin + e % kDepth;
      const int column = left + e % kSide, pb = begin + e / kSide;
      as[e % kDepth][e / kDepth] = row < x.m && pa < x.k ? x.a[row * x.k + pa] : 0;
      bs[e / kSide][e % kSide] = pb < x.k && column < x.n ? x.b[pb * x.n + column] : 0;
    }
    __syncthreads();
    for (int p = 0; p < kDepth; ++p) {
      float a[4], b[4];
      for (int i = 0; i < 4; ++i) a[i] = as[p][ty + 16 * i];
      for (int j = 0; j < 4; ++j) b[j] = bs[p][tx + 16 * j];
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) sum[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int row = top + ty + 16 * i, column = left + tx + 16 * j;
      if (row < x.m && column < x.n) x.c[row * x.n + column] = sum[i][j];
    }
  }
}

inline void run(const View& a, const View& b, const View& c) {
  const Product x(a, b, c);
  if (x.m == 0 || x.n == 0) return;
  const dim3 grid(ceil_div(x.n, kSide), ceil_div(x.m, kSide));
  NEEDLE_LAUNCH((multiply), grid, kThreads, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v5
