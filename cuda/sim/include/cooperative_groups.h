// Cooperative groups: the cluster, the block, and tiles of a warp.  (Lesson 04)
#pragma once

#include "cuda/sim/device.h"

namespace cooperative_groups {

using needle::sim::Place;

/// All threads of the block.
class thread_block {
 public:
  void sync(Place place = Place::current()) const { __syncthreads(place); }
  unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
  unsigned num_threads() const { return size(); }
  unsigned thread_rank() const {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  }
  dim3 group_index() const { return blockIdx; }
  dim3 thread_index() const { return threadIdx; }
};

inline thread_block this_thread_block() { return {}; }

/// The blocks that run at the same time as this one: in a launch with clusters those of one x, else this
/// one alone.
class cluster_group {
 public:
  void sync(Place place = Place::current()) const {
    needle::sim::barrier(needle::sim::BarrierVote::cluster, false, place);
  }
  /// Where block `rank` has the variable in shared memory that this one has at `shared`.
  template <class T>
  T* map_shared_rank(T* shared, unsigned rank, Place place = Place::current()) const {
    return static_cast<T*>(needle::sim::of_block(shared, rank, place));
  }
};

inline cluster_group this_cluster() { return {}; }

/// Size lanes of a warp that follow each other.
template <unsigned Size>
class thread_block_tile {
  static_assert(Size == 1 || Size == 2 || Size == 4 || Size == 8 || Size == 16 || Size == 32,
                "a tile has 1, 2, 4, 8, 16 or 32 threads");

 public:
  unsigned size() const { return Size; }
  unsigned num_threads() const { return Size; }
  unsigned thread_rank() const { return this_thread_block().thread_rank() % Size; }
  unsigned meta_group_rank() const { return this_thread_block().thread_rank() / Size; }
  unsigned meta_group_size() const { return (this_thread_block().size() + Size - 1) / Size; }

  void sync(Place place = Place::current()) const { __syncwarp(mask(), place); }
  template <class T>
  T shfl(T value, int source, Place place = Place::current()) const {
    return __shfl_sync(mask(), value, source, Size, place);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, Place place = Place::current()) const {
    return __shfl_up_sync(mask(), value, delta, Size, place);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, Place place = Place::current()) const {
    return __shfl_down_sync(mask(), value, delta, Size, place);
  }
  template <class T>
  T shfl_xor(T value, int lane_mask, Place place = Place::current()) const {
    return __shfl_xor_sync(mask(), value, lane_mask, Size, place);
  }
  int any(int vote, Place place = Place::current()) const {
    return __any_sync(mask(), vote, place);
  }
  int all(int vote, Place place = Place::current()) const {
    return __all_sync(mask(), vote, place);
  }
  unsigned ballot(int vote, Place place = Place::current()) const {
    return __ballot_sync(mask(), vote, place) >> first();
  }

 private:
  unsigned first() const { return this_thread_block().thread_rank() % 32 / Size * Size; }
  unsigned mask() const { return (Size == 32 ? ~0u : (1u << Size % 32) - 1) << first(); }
};

template <unsigned Size>
thread_block_tile<Size> tiled_partition(const thread_block&) {
  return {};
}

template <class T>
struct plus {
  T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct greater {
  T operator()(T a, T b) const { return a < b ? b : a; }
};
template <class T>
struct less {
  T operator()(T a, T b) const { return b < a ? b : a; }
};

/// Of all lanes of the tile, the same in each.
template <unsigned Size, class T, class Combine>
T reduce(const thread_block_tile<Size>& tile, T value, Combine combine,
         Place place = Place::current()) {
  for (unsigned step = Size / 2; step > 0; step /= 2) {
    value = combine(value, tile.shfl_xor(value, static_cast<int>(step), place));
  }
  return value;
}

}  // namespace cooperative_groups
