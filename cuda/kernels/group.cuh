// What the threads of a warp or a block find out together.  (Lesson 04)
#pragma once

#include "cuda/launch.h"

namespace needle::NEEDLE_GPU {

inline constexpr unsigned kAllLanes = 0xffffffffu;

/// What the lane has whose number differs by the bits of `other`. For all lanes.
template <class T>
__device__ T from_lane(T value, int other) {
  return __shfl_xor_sync(kAllLanes, value, other);
}

/// join(...) of the values of all lanes, in every lane. Lanes exchange registers, so that no shared
/// memory and no barrier is needed; after 5 steps each has heard from all. join must be symmetric.
template <class T, class Join>
__device__ T across_warp(T value, Join join) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = join(value, from_lane(value, distance));
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

// Who has a row: a block, or each of its warps one; a few lanes of a warp; or a cluster (cluster.cuh).

struct RowOfBlock {
  __device__ static void begin() {}
  __device__ static int rank() { return 0; }
  __device__ static int rows_before() { return 0; }
  template <class T, class Join>
  __device__ static T across_row(T value, T first, Join join) {
    return NEEDLE_GPU::across_row(value, first, join);
  }
};

/// kLanes that follow each other. What a warp does once for each row, to find it for instance, it then
/// does for several rows at once. All its threads go on as long as one has a row: shuffles are quickest
/// if all lanes take part.
template <int kLanes>
struct RowOfLanes {
  __device__ static void begin() {}
  __device__ static int rank() { return 0; }
  /// How many rows of this warp come before this thread's.
  __device__ static int rows_before() { return static_cast<int>(threadIdx.y % (32 / kLanes)); }
  template <class T, class Join>
  __device__ static T across_row(T value, T, Join join) {
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      value = join(value, from_lane(value, distance));
    }
    return value;
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
