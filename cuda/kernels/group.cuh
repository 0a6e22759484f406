// What the threads of a warp or a block find out together.  (Lesson 04)
#pragma once

#include "cuda/launch.h"

namespace needle::NEEDLE_GPU {

inline constexpr unsigned kAllLanes = 0xffffffffu;

/// join(...) of the values of all lanes, in every lane. Lanes exchange registers, so that no shared
/// memory and no barrier is needed; after 5 steps each has heard from all. join must be symmetric.
template <class T, class Join>
__device__ T across_warp(T value, Join join) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = join(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// The same over the blockDim.x threads of a row of the block: a multiple of 32, and if it is more
/// than 32, the block has one row. `first` is what changes nothing. Always in the same order.
template <class T, class Join>
__device__ T across_row(T value, T first, Join join) {
  __shared__ T of_warp[32];
  value = across_warp(value, join);
  if (blockDim.x == 32) return value;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  __syncthreads();  // the last call's values have been read
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  return across_warp(lane < blockDim.x / 32 ? of_warp[lane] : first, join);
}

/// Who has a row: a block, or each of its warps one. (Else a cluster: see cluster.cuh.)
struct RowOfBlock {
  __device__ static void begin() {}
  __device__ static int rank() { return 0; }
  template <class T, class Join>
  __device__ static T across_row(T value, T first, Join join) {
    return NEEDLE_GPU::across_row(value, first, join);
  }
  template <class T, class Join>
  __device__ static T across_blocks(T mine, Join) {
    return mine;
  }
};

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

/// The other one if one is NaN.
struct Maximum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return std::fmax(a, b);
  }
};

/// NaN if either is.
struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a != a || a > b ? a : b;
  }
};

}  // namespace needle::NEEDLE_GPU
