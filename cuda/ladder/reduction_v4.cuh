// v4: several numbers a thread, and two stages.  (Lesson 04)
//
// A thread adds up every (256 x blocks)-th number before anything is shared, with eight loads under
// way at a time. Neighbours still read neighbours. The sums of the blocks go to memory, and a second
// kernel, one block, adds them: a kernel begins when the one before has ended, which is a barrier
// for the whole grid. No atomics, so the order is fixed, and the same bits come out each time.
// Counter: up to 32 times fewer threads, and more for long arrays; no atomics.
// Limit: reading each byte once.
#pragma once

#include "cuda/ladder/block_sum.cuh"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU::ladder::reduction_v4 {

constexpr int kThreads = 256, kLoads = 8, kMostBlocks = 1024;

__global__ void sum(const float* x, float* out, int n) {
  const int step = gridDim.x * kThreads;
  float total = 0;
  int i = blockIdx.x * kThreads + threadIdx.x;
  for (; i < n - (kLoads - 1) * step; i += kLoads * step) {
    float some[kLoads];
    for (int j = 0; j < kLoads; ++j) some[j] = x[i + j * step];
    for (int j = 0; j < kLoads; ++j) total += some[j];
  }
  for (; i < n; i += step) total += x[i];
  total = block_sum(total);
  if (threadIdx.x == 0) out[blockIdx.x] = total;
}

inline void run(Reduce, const View& x, const View& out) {
  const int n = as_int(x.size());
  const int wanted = ceil_div(n, kThreads * kLoads * 4);
  const int blocks = wanted < 1 ? 1 : wanted > kMostBlocks ? kMostBlocks : wanted;
  const Workspace parts(blocks * sizeof(float));
  NEEDLE_LAUNCH((sum), blocks, kThreads, 0, x.as<float>(), parts.as<float>(), n);
  NEEDLE_LAUNCH((sum), 1, kThreads, 0, parts.as<float>(), out.as<float>(), blocks);
}

}  // namespace needle::NEEDLE_GPU::ladder::reduction_v4
