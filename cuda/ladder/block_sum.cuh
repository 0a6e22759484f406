// Sums over a warp and over a block by shuffles.  (Lesson 04)
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder {

/// The sum of the values of all 32 lanes, in lane 0. A lane reads the register of the lane
/// `distance` after it; no memory, and no barrier, because the lanes of a shuffle wait for each
/// other.
__device__ inline float warp_sum(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_down_sync(0xffffffff, value, distance);
  }
  return value;
}

/// The sum over a block of 256 threads, in thread 0: of 8 warps, then of their 8 sums. Once a
/// kernel.
__device__ inline float block_sum(float value) {
  __shared__ float of_warp[8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  value = warp_sum(value);
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  return warp == 0 ? warp_sum(lane < 8 ? of_warp[lane] : 0) : 0;
}

}  // namespace needle::NEEDLE_GPU::ladder
