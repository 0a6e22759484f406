// v6: 8 x 8 results a thread, tiles of warps, loads of 16 bytes.  (Lesson 04)
//
// A multiprocessor can do 256 FLOPs while shared memory delivers one wavefront. 8 x 8 results are
// the first size that needs no more: 16 numbers, 16 wavefronts for 32 lanes, 64 x 64 FLOPs. Read
// four by four they are 4 instructions beside 64 multiply-adds; alone, 16, and a scheduler issues one
// instruction a cycle, whichever it is. A warp has a tile of its own, 64 x 32, as square as it can be: its
// lanes share what they read.
// Counter: FLOPs a wavefront double; an eighth of the shared requests; loads ask global memory for half
// of the bytes.
// Limit: the units. What is left is waiting: all threads stop at a barrier while a tile is fetched.
#pragma once

#include "cuda/ladder/warp_tile.cuh"

namespace needle::NEEDLE_GPU::ladder::matmul_v6 {

__global__ void __launch_bounds__(WarpTile::kThreads, 2) multiply(const Product x) {
  __shared__ __align__(16) float as[WarpTile::kDepth][WarpTile::kRow];
  __shared__ __align__(16) float bs[WarpTile::kDepth][WarpTile::kSide];
  const WarpTile tile;
  float sum[8][8] = {};
  for (int begin = 0; begin < x.k; begin += WarpTile::kDepth) {
    float a[WarpTile::kPerThread], b[WarpTile::kPerThread];
    tile.load(x, begin, a, b);
    tile.store(a, b, as, bs);
    __syncthreads();
    tile.multiply(as, bs, sum);
    __syncthreads();
  }
  tile.put(x, sum);
}

inline void run(const View& a, const View& b, const View& c) {
  const Product x(a, b, c);
  if (x.m == 0 || x.n == 0) return;
  const dim3 grid(ceil_div(x.n, WarpTile::kSide), ceil_div(x.m, WarpTile::kSide));
  NEEDLE_LAUNCH((multiply), grid, WarpTile::kThreads, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v6
