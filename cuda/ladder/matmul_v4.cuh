// v4: 4 x 4 results a thread, in registers.  (Lesson 04)
//
// For one step of p a thread reads 4 numbers of A and 4 of B, and makes 16 products of them: 8
// requests for 16 x 64 FLOPs, where v3 has 32. The tile of the block grows to 64 x 64 with a quarter
// of the threads, so each number that comes from global memory is used 64 times.
// Counter: a quarter of the shared requests; loads ask global memory for half of the bytes.
// Limit: the layout. A thread's columns are neighbours, so lanes read 4 words apart, and the two
// rows of threads in a warp read the same bank of A: two wavefronts where one would do. v5 mends
// that.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::matmul_v4 {

constexpr int kSide = 64, kDepth = 16, kThreads = 256;

__global__ void multiply(const Product x) {
  __shared__ float as[kSide][kDepth];
  __shared__ float bs[kDepth][kSide];
  const int t = threadIdx.x, tx = t % 16 * 4, ty = t / 16 * 4;
  const int top = blockIdx.y * kSide, left = blockIdx.x * kSide;
  float sum[4][4] = {};
  for (int begin = 0; begin < x.k; begin += kDepth) {
    for (int e = t; e < kSide * kDepth; e += kThreads) {
      const int row = top + e / kDepth, pa = begin + e % kDepth;
      const int column = left + e % kSide, pb = begin + e / kSide;
      as[e / kDepth][e % kDepth] = row < x.m && pa < x.k ? x.a[row * x.k + pa] : 0;
      bs[e / kSide][e % kSide] = pb < x.k && column < x.n ? x.b[pb * x.n + column] : 0;
    }
    __syncthreads();
    for (int p = 0; p < kDepth; ++p) {
      float a[4], b[4];
      for (int i = 0; i < 4; ++i) a[i] = as[ty + i][p];
      for (int j = 0; j < 4; ++j) b[j] = bs[p][tx + j];
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) sum[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int row = top + ty + i, column = left + tx + j;
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

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v4
