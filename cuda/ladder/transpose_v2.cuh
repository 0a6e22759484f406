// v2: a tile in shared memory, read and written along rows.  (Lesson 04)
//
// A block reads a tile of 32 x 32 along its rows, and writes it along the rows of `out`. The turn
// from rows to columns happens in shared memory, which has no sectors. It has banks: word w is in
// bank w mod 32, and all words of a column of a tile 32 wide are in one.
// Counter: 4 sectors a request everywhere; 32 wavefronts a request where the tile is read.
// Limit: those 32 wavefronts.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::transpose_v2 {

__global__ void transpose(const Matrix x) {
  __shared__ float tile[32][32];
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

}  // namespace needle::NEEDLE_GPU::ladder::transpose_v2
