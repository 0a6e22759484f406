// v1: each thread moves one number.  (Lesson 04)
//
// Lanes side by side read along a row, 4 sectors a request, and write down a column: every lane's
// four bytes are in a sector of their own, and the other 28 of it are written by other warps, if at
// all.
// Counter: 32 sectors a request where `out` is written.
// Limit: 36 sectors for 128 bytes in and 128 out, where 8 would do.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::transpose_v1 {

__global__ void transpose(const Matrix x) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= x.rows || column >= x.columns) return;
  x.out[column * x.rows + row] = x.in[row * x.columns + column];
}

inline void run(const View& in, const View& out) {
  const Matrix x(in, out);
  if (x.rows == 0 || x.columns == 0) return;
  const dim3 block(32, 32);
  NEEDLE_LAUNCH((transpose), dim3(ceil_div(x.columns, 32), ceil_div(x.rows, 32)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::transpose_v1
