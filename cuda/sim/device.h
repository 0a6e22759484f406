// What a kernel sees when g++ compiles it: CUDA's qualifiers, variables and functions.  (Lesson 04)
//
// One CUDA thread is one fiber; the fibers of a block run in turns on one thread of the host, so a
// variable that is the thread's own on the host is the block's: that is __shared__. The names are
// CUDA's and stand where CUDA has them, outside of any namespace.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/sim/atomics.h"
#include "cuda/sim/intrinsics.h"
#include "cuda/sim/sync.h"
#include "cuda/sim/vector_types.h"
#include "cuda/sim/warp.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
// A launch in the simulator has no such attribute: where it stands, g++ says so.
#define __cluster_dims__(...) \
  _Pragma(                    \
      "GCC error \"the simulator has clusters for NEEDLE_LAUNCH_CLUSTERS (cuda/launch.h) alone\"")
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))
// Aligned so that there is a gap behind most arrays, in which a stray access is found.
#define __shared__ static thread_local __attribute__((aligned(128)))

// Constants of a thread, so the compiler may keep them in registers: the fibers that share a thread
// of the host see other values, but none ever sees its own change.
extern __thread const uint3 threadIdx, blockIdx, blockDim, gridDim;
inline constexpr int warpSize = 32;

inline void __syncthreads(needle::sim::Place place = needle::sim::Place::current()) {
  needle::sim::barrier(needle::sim::BarrierVote::none, false, place);
}
inline int __syncthreads_count(int vote, needle::sim::Place place = needle::sim::Place::current()) {
  return needle::sim::barrier(needle::sim::BarrierVote::count, vote != 0, place);
}
inline int __syncthreads_and(int vote, needle::sim::Place place = needle::sim::Place::current()) {
  return needle::sim::barrier(needle::sim::BarrierVote::all, vote != 0, place);
}
inline int __syncthreads_or(int vote, needle::sim::Place place = needle::sim::Place::current()) {
  return needle::sim::barrier(needle::sim::BarrierVote::any, vote != 0, place);
}

// Memory is never seen out of order here. A fence only tells the checks that what this thread wrote
// is handed over by its next atomic operation.
inline void __threadfence() { needle::sim::fence(); }
inline void __threadfence_block() { needle::sim::fence(); }
inline void __threadfence_system() { needle::sim::fence(); }

inline void __nanosleep(unsigned) {}
inline long long clock64() { return needle::sim::clock(); }
inline void __trap(needle::sim::Place place = needle::sim::Place::current()) {
  needle::sim::trap(place);
}
