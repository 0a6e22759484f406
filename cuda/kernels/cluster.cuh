// What the blocks of a cluster find out together.  (Lesson 04)
//
// For files that are compiled for GPUs with clusters alone: sm_90 and later.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/group.cuh"

#ifdef __CUDACC__
#include "cuda/gemm/hopper.cuh"
#else
#include "cuda/sim/include/cooperative_groups.h"
#endif

namespace needle::NEEDLE_GPU {

/// A row that the blocks of a cluster share: those of one x. A kernel makes one at its beginning, and
/// calls begin() before the first exchange: what it loads between comes while others begin.
class RowOfCluster {
 public:
  __device__ RowOfCluster();
  /// Waits until all blocks have begun: before, they have no shared memory.
  __device__ void begin();

  __device__ static int rank() { return static_cast<int>(blockIdx.y); }
  __device__ static int rows_before() { return 0; }

  template <class T, class Join>
  __device__ T across_row(T value, T first, Join join) {
    value = NEEDLE_GPU::across_row(value, first, join);  // the same in all threads of the block
    // In turns: while some still read the last values, others write the next. Nobody reads those before
    // the last: there are barriers in across_row, as such a block has more than one warp.
    __shared__ __align__(16) T of_block[2][kMostBlocks];
    T* const values = of_block[exchanges_ % 2];
    exchange(value, values);
    ++exchanges_;
    T all = values[0];
#pragma unroll
    for (unsigned i = 1; i < kMostBlocks; ++i) {
      if (i < gridDim.y) all = join(all, values[i]);
    }
    return all;
  }

 private:
  /// Writes `mine` to values[rank()] of every block, and waits for theirs.
  template <class T>
  __device__ void exchange(const T& mine, T* values);

  unsigned exchanges_ = 0;
#ifdef __CUDACC__
  uint32_t arrived_;  // two mbarriers, for the exchanges in turn
#endif
};

#ifdef __CUDACC__

// cluster.sync() of cooperative groups would do, as in the simulator below. But it is a fence of the
// whole GPU: it waits for all that the thread has asked for, the next row too. So each value is written
// by an instruction that tells the receiver's mbarrier of it.

__device__ inline RowOfCluster::RowOfCluster() {
  __shared__ uint64_t arrived[2];
  arrived_ = hopper::shared_address(arrived);
  if (threadIdx.x == 0) {
    for (int turn = 0; turn < 2; ++turn) hopper::barrier_init(arrived_ + 8 * turn, 1);
    hopper::barrier_init_fence();
  }
  __syncwarp();
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}

__device__ inline void RowOfCluster::begin() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

template <class T>
__device__ void RowOfCluster::exchange(const T& mine, T* values) {
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr int kWords = sizeof(T) / sizeof(Word);
  const uint32_t barrier = arrived_ + exchanges_ % 2 * 8, to = threadIdx.x;
  if (to == 0) hopper::arrive_expecting(barrier, gridDim.y * sizeof(T));
  if (to < gridDim.y) {
    const uint32_t there = hopper::address_in(hopper::shared_address(&values[rank()]), to);
    const uint32_t barrier_there = hopper::address_in(barrier, to);
    Word words[kWords];
    memcpy(words, &mine, sizeof mine);
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      hopper::store_async(there + i * sizeof(Word), words[i], barrier_there);
    }
  }
  hopper::barrier_wait_for_cluster(barrier, exchanges_ / 2 % 2);
}

#else

__device__ inline RowOfCluster::RowOfCluster() = default;
__device__ inline void RowOfCluster::begin() { cooperative_groups::this_cluster().sync(); }

template <class T>
__device__ void RowOfCluster::exchange(const T& mine, T* values) {
  const auto cluster = cooperative_groups::this_cluster();
  if (threadIdx.x < gridDim.y) *cluster.map_shared_rank(&values[rank()], threadIdx.x) = mine;
  cluster.sync();
}

#endif

}  // namespace needle::NEEDLE_GPU
