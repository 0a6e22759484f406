// v3: rows of the tile are one word longer.  (Lesson 04)
//
// A word that nobody uses stands at the end of each row of the tile. Down a column the words are
// now 33 apart, so each is in the bank after that of the one above. (`tile[ty][tx ^ ty]` does it
// without the extra words.)
// Counter: one wavefront a request.
// Limit: the bytes. Each is read once and written once.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::transpose_v3 {

__global__ void transpose(const Matrix x) {
  __shared__ float tile[32][33];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int left = blockIdx.x * 32, top = blockIdx.y * 32;
  if (top + ty < x.rows && left + tx < x.columns) {
    tile[ty][tx] = x.in[(top + ty) * x.columns + left + tx];
  }
  __syncthreads();
  if (left + ty < x.columns && top + tx < x.rows) {
    x.out[(left + ty) * x.rows + top + tx] = tile[tx][ty];
  }
}

inline void run(const View& in, const View& out) {
  const Matrix x(in, out);
  if (x.rows == 0 || x.columns == 0) return;
  const dim3 block(32, 32);
  NEEDLE_LAUNCH((transpose), dim3(ceil_div(x.columns, 32), ceil_div(x.rows, 32)), block, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::transpose_v3
