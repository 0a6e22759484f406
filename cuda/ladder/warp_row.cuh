// What the softmax rungs with a warp for each row share.  (Lesson 04)
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder {

/// Below every finite number: where a largest element begins without -inf minus -inf arising.
inline constexpr float kBelowAll = -0x1.fffffep127f;

__device__ inline float largest_of_warp(float value) {
  for (int d = 16; d > 0; d /= 2) {
    value = std::fmax(value, __shfl_xor_sync(0xffffffff, value, d));
  }
  return value;
}

__device__ inline float sum_of_warp(float value) {
  for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffff, value, d);
  return value;
}

/// A block is 32 x 4 threads: 4 rows.
struct WarpRow {
  static constexpr int kRows = 4;

  int lane = threadIdx.x, row = blockIdx.x * kRows + threadIdx.y;

  static dim3 grid(const Table& t) { return dim3(ceil_div(t.rows, kRows)); }
  static dim3 block() { return dim3(32, kRows); }
};

}  // namespace needle::NEEDLE_GPU::ladder
