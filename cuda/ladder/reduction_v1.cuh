// v1: every thread adds its number to the one sum.  (Lesson 04)
//
// Right, because an atomic addition is one step that nobody can interrupt. But they all want the
// same address, so they come one after the other, in an order that changes from run to run, and
// with it the rounding of the sum.
// Counter: as many atomics as numbers.
// Limit: how fast L2 adds to one address.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::reduction_v1 {

__global__ void clear(float* out) { *out = 0; }

__global__ void sum(const float* x, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(out, x[i]);
}

inline void run(Reduce, const View& x, const View& out) {
  const int n = as_int(x.size());
  NEEDLE_LAUNCH((clear), 1, 1, 0, out.as<float>());
  if (n == 0) return;
  NEEDLE_LAUNCH((sum), ceil_div(n, 256), 256, 0, x.as<float>(), out.as<float>(), n);
}

}  // namespace needle::NEEDLE_GPU::ladder::reduction_v1
