// Kernels that wait for what never comes, or never end.
#include "cuda/launch.h"
#include "cuda/sim/include/cooperative_groups.h"
#include "defects.h"
#include "memory.h"

namespace needle::sim {
namespace {

__global__ void early_return(float* out, int n) {
  const int i = threadIdx.x;
  if (i >= n) return;
  out[i] = 1;
  __syncthreads();  // HERE: early return before a barrier
  out[i] += 1;
}

__global__ void two_branches(float* out) {
  if (threadIdx.x % 2 == 0) {
    out[threadIdx.x] = 1;
    __syncthreads();  // HERE: a barrier in each branch
  } else {
    out[threadIdx.x] = 2;
    __syncthreads();
  }
}

__global__ void loop_of_unequal_length(float* out) {
  for (unsigned i = 0; i < 2 + threadIdx.x / 32; ++i) {
    out[threadIdx.x] = i;
    __syncthreads();  // HERE: barrier in a loop of unequal length
  }
}

__global__ void barrier_against_vote(int* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    out[threadIdx.x] = __any_sync(0xffffffff, threadIdx.x > 40);
  }
  if (threadIdx.x == 40) __syncthreads();  // HERE: barrier for one
  __syncthreads();
}

__global__ void half_a_warp_shuffles(int* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] =
        __shfl_down_sync(0xffffffff, threadIdx.x, 1);  // HERE: full mask, half a warp
  }
}

__global__ void sync_in_branch(int* out) {
  if (threadIdx.x != 7) {
    __syncwarp();  // HERE: syncwarp without one lane
    out[threadIdx.x] = 1;
  }
}

__global__ void not_in_mask(int* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffff, threadIdx.x, 0);  // HERE: lane not in its mask
}

__global__ void unequal_masks(int* out) {
  const unsigned mask = threadIdx.x < 8 ? 0xffffffff : 0xffffff00;
  out[threadIdx.x] = __shfl_xor_sync(mask, threadIdx.x, 1);  // HERE: unequal masks
}

__global__ void half_block(int* out) {
  out[threadIdx.x] = __shfl_down_sync(0xffffffff, threadIdx.x, 8);  // HERE: block of 24 threads
}

__global__ void odd_width(int* out) {
  out[threadIdx.x] = __shfl_down_sync(0xffffffff, threadIdx.x, 1, 5);  // HERE: width 5
}

__global__ void never_ends(const int* flag, int* out) {
  while (*flag == 0) {  // HERE: loop that never ends
  }
  *out = 1;
}

__global__ void one_never_ends(const int* flag) {
  if (threadIdx.x == 40) {
    while (*flag == 0) {  // HERE: one thread never ends
    }
  }
  __syncthreads();
}

__global__ void empty_loop(int n) {
  for (unsigned i = 1; i != static_cast<unsigned>(n); i += 2) {  // HERE: empty loop
  }
}

__global__ void barriers_for_ever(const int* flag) {
  while (*flag == 0) __syncthreads();  // HERE: barriers for ever
}

__global__ void one_block_goes_around(int* out) {
  const auto cluster = cooperative_groups::this_cluster();
  if (blockIdx.y == 1 && threadIdx.x < 7) {
    cluster.sync();  // HERE: barrier of a cluster for some
  }
  cluster.sync();
  out[threadIdx.x] = 1;
}

__global__ void beyond_the_cluster() {
  __shared__ int mine;
  mine = 1;
  const auto cluster = cooperative_groups::this_cluster();
  cluster.sync();
  *cluster.map_shared_rank(&mine, blockIdx.y + 1) = 2;  // HERE: block after the last
}

__global__ void not_shared(int* out) {
  const auto cluster = cooperative_groups::this_cluster();
  *cluster.map_shared_rank(out, 0) = 2;  // HERE: global memory of another block
}

__device__ int deep(int n, volatile char* before) {
  volatile char here[1000];
  here[0] = before[0];
  return n == 0 ? here[0] : deep(n - 1, here) + here[0];
}

__global__ void recursion(int* out, int n) {
  char first[1000] = {};
  *out = deep(n, first);
}

}  // namespace

std::vector<Defect> sync_defects() {
  return {
      {"early return before a barrier", Kind::early_exit,
       [] {
         Array<float> out(64);
         NEEDLE_LAUNCH((early_return), 1, 64, 0, out.data(), 40);
       }},
      {"a barrier in each branch", Kind::barrier_divergence,
       [] {
         Array<float> out(32);
         NEEDLE_LAUNCH((two_branches), 1, 32, 0, out.data());
       }},
      {"barrier in a loop of unequal length", Kind::early_exit,
       [] {
         Array<float> out(64);
         NEEDLE_LAUNCH((loop_of_unequal_length), 1, 64, 0, out.data());
       }},
      {"barrier for one", Kind::barrier_divergence,
       [] {
         Array<int> out(64);
         NEEDLE_LAUNCH((barrier_against_vote), 1, 64, 0, out.data());
       }},
      {"full mask, half a warp", Kind::deadlock,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((half_a_warp_shuffles), 1, 32, 0, out.data());
       }},
      {"syncwarp without one lane", Kind::deadlock,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((sync_in_branch), 1, 32, 0, out.data());
       }},
      {"lane not in its mask", Kind::wrong_mask,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((not_in_mask), 1, 32, 0, out.data());
       }},
      {"unequal masks", Kind::deadlock,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((unequal_masks), 1, 32, 0, out.data());
       }},
      {"block of 24 threads", Kind::deadlock,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((half_block), 1, 24, 0, out.data());
       }},
      {"width 5", Kind::wrong_mask,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((odd_width), 1, 32, 0, out.data());
       }},
      {"loop that never ends", Kind::endless,
       [] {
         Array<int> flag(1), out(1);
         NEEDLE_LAUNCH((never_ends), 1, 32, 0, flag.data(), out.data());
       }},
      {"one thread never ends", Kind::endless,
       [] {
         Array<int> flag(1);
         NEEDLE_LAUNCH((one_never_ends), 1, 64, 0, flag.data());
       }},
      {"empty loop", Kind::endless, [] { NEEDLE_LAUNCH((empty_loop), 1, 32, 0, 1000); }},
      {"barriers for ever", Kind::endless,
       [] {
         Array<int> flag(1);
         NEEDLE_LAUNCH((barriers_for_ever), 1, 32, 0, flag.data());
       }},
      {"barrier of a cluster for some", Kind::barrier_divergence,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH_CLUSTERS((one_block_goes_around), dim3(2, 3), 32, out.data());
       }},
      {"block after the last", Kind::out_of_bounds,
       [] { NEEDLE_LAUNCH_CLUSTERS((beyond_the_cluster), dim3(1, 2), 1); }},
      {"global memory of another block", Kind::out_of_bounds,
       [] {
         Array<int> out(1);
         NEEDLE_LAUNCH_CLUSTERS((not_shared), dim3(1, 2), 1, out.data());
       }},
      {"stack used up", Kind::crash,
       [] {
         Array<int> out(1);
         NEEDLE_LAUNCH((recursion), 1, 1, 0, out.data(), 1000);
       }},
  };
}

}  // namespace needle::sim
