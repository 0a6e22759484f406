// v2: a tree in shared memory, one atomic a block.  (Lesson 04)
//
// 256 numbers become 128 sums of two, 64 of four, … in 8 steps. Between the steps all must have
// written before any reads: a barrier each. The working threads are the first ones, so that whole
// warps fall idle together: no branch parts a warp but in the last five steps, and neighbours read
// neighbouring banks.
// Counter: atomics fall by 256; 9 barriers a block.
// Limit: a block works on 1 KiB and stands at a barrier for most of its time.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::reduction_v2 {

constexpr int kThreads = 256;

__global__ void clear(float* out) { *out = 0; }

__global__ void sum(const float* x, float* out, int n) {
  __shared__ float part[kThreads];
  const int t = threadIdx.x, i = blockIdx.x * kThreads + t;
  part[t] = i < n ? x[i] : 0;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
    __syncthreads();
  }
  if (t == 0) atomicAdd(out, part[0]);
}

inline void run(Reduce, const View& x, const View& out) {
  const int n = as_int(x.size());
  NEEDLE_LAUNCH((clear), 1, 1, 0, out.as<float>());
  if (n == 0) return;
  NEEDLE_LAUNCH((sum), ceil_div(n, kThreads), kThreads, 0, x.as<float>(), out.as<float>(), n);
}

}  // namespace needle::NEEDLE_GPU::ladder::reduction_v2
