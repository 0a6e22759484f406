// v7: double buffering: the next tile is fetched while this one is used.  (Lesson 04)
//
// A load from global memory takes 500 cycles and more, but nothing waits until its register is needed.
// So the loads of the next tile begin before the products of this one, and are stored after them,
// into a second pair of arrays. Nobody reads those yet, so one barrier a tile is enough.
// Counter: barriers halve; all else is v6's. The gain is latency that is hidden, and the simulator,
// which knows no time, cannot show it.
// Limit: the units of float32. Faster is only what has other units: see the rungs after this one.
#pragma once

#include "cuda/ladder/warp_tile.cuh"

namespace needle::NEEDLE_GPU::ladder::matmul_v7 {

__global__ void __launch_bounds__(WarpTile::kThreads, 2) multiply(const Product x) {
  __shared__ __align__(16) float as[2][WarpTile::kDepth][WarpTile::kRow];
  __shared__ __align__(16) float bs[2][WarpTile::kDepth][WarpTile::kSide];
  const WarpTile tile;
  float sum[8][8] = {};
  float a[WarpTile::kPerThread], b[WarpTile::kPerThread];
  tile.load(x, 0, a, b);
  tile.store(a, b, as[0], bs[0]);
  __syncthreads();
  int now = 0;
  for (int begin = WarpTile::kDepth; begin < x.k; begin += WarpTile::kDepth) {
    tile.load(x, begin, a, b);
    tile.multiply(as[now], bs[now], sum);
    now = 1 - now;
    tile.store(a, b, as[now], bs[now]);
    __syncthreads();
  }
  tile.multiply(as[now], bs[now], sum);
  tile.put(x, sum);
}

inline void run(const View& a, const View& b, const View& c) {
  const Product x(a, b, c);
  if (x.m == 0 || x.n == 0) return;
  const dim3 grid(ceil_div(x.n, WarpTile::kSide), ceil_div(x.m, WarpTile::kSide));
  NEEDLE_LAUNCH((multiply), grid, WarpTile::kThreads, 0, x);
}

}  // namespace needle::NEEDLE_GPU::ladder::matmul_v7
