// v4: four numbers a thread.  (Lesson 04)
//
// A quarter of the threads does the same work. Each has four loads under way before it waits for
// the first, computes its place once for four, and a multiprocessor has more blocks at a time, so
// that some load while others are at their barrier.
// Counter: a quarter of the threads; nothing else moves.
// Limit: the bytes. What there is to gain is latency, which only a clock shows.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::transpose_v4 {

constexpr int kRows = 8;  // of threads

__global__ void transpose(const Matrix x) {
  __shared__ float tile[32][33];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int left = blockIdx.x * 32, top = blockIdx.y * 32;
#pragma unroll
  for (int y = ty; y < 32; y += kRows) {
    if (top + y < x.rows && left + tx < x.columns) {
      tile[y][tx] = x.in[(top + y) * x.columns + left + tx];
    }
  }
  __syncthreads();
#pragma unroll
  for (int y = ty; y < 32; y += kRows) {
    if (left + y < x.columns && top + tx < x.rows) {
      x.out[(left + y) * x.rows + top + tx] = tile[tx][y];
    }
  }
}

inline void run(const View& in, const View& out) {
  const Matrix x(in, out);
  if (x.rows == 0 || x.columns == 0) return;
  const dim3 block(32, kRows);
  NEEDLE_LAUNCH((transpose), dim3(ceil_div(x.columns, 32), ceil_div(x.rows, 32)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::transpose_v4
