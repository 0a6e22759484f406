// v3: warps add up by shuffles.  (Lesson 04)
//
// Lanes of one warp can read each other's registers. Five shuffles add up a warp, with neither shared
// memory nor a barrier; shared memory carries one sum a warp, and three more shuffles add those.
// Counter: one barrier a block instead of 9; shared wavefronts fall from 45 to 9 a block.
// Limit: still 4 bytes a thread. Launching the threads and their 25 or so instructions take longer
// than the bytes do.
#pragma once

#include "cuda/ladder/block_sum.cuh"

namespace needle::NEEDLE_GPU::ladder::reduction_v3 {

__global__ void clear(float* out) { *out = 0; }

__global__ void sum(const float* x, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float total = block_sum(i < n ? x[i] : 0);
  if (threadIdx.x == 0) atomicAdd(out, total);
}

inline void run(Reduce, const View& x, const View& out) {
  const int n = as_int(x.size());
  NEEDLE_LAUNCH((clear), 1, 1, 0, out.as<float>());
  if (n == 0) return;
  NEEDLE_LAUNCH((sum), ceil_div(n, 256), 256, 0, x.as<float>(), out.as<float>(), n);
}

}  // namespace needle::NEEDLE_GPU::ladder::reduction_v3
