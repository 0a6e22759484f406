// What the host must know to cut work into blocks: how much of a kernel a GPU holds at a time.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/launch.h"

#ifndef __CUDACC__
#include "cuda/sim/options.h"
#endif

namespace needle::NEEDLE_GPU {

__device__ __host__ inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline constexpr unsigned kMostBlocks = 8;  // of a cluster, on every GPU that has clusters

#ifdef __CUDACC__

inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, attribute, device);
  return value;
}
inline int multiprocessors() {
  static const int count = device_attribute(cudaDevAttrMultiProcessorCount);
  return count;
}
/// 80 for sm_80, 90 for sm_90, ...
inline int capability() {
  static const int version = device_attribute(cudaDevAttrComputeCapabilityMajor) * 10 +
                             device_attribute(cudaDevAttrComputeCapabilityMinor);
  return version;
}
/// The most dynamic shared memory that a block can have, in bytes.
inline size_t most_shared() {
  static const int bytes = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return static_cast<size_t>(bytes);
}
/// How many blocks run at a time; or how many clusters of `cluster` blocks, see launch_clusters. 0 if they
/// cannot run.
template <class... Parameters>
int64_t resident(void (*kernel)(Parameters...), dim3 block, unsigned cluster = 1) {
  int count = 0;
  cudaError_t error = cudaSuccess;
  if (cluster > 1) {
    const ClusterLaunch launch(dim3(1, cluster), block);
    error = cudaOccupancyMaxActiveClusters(&count, kernel, &launch.config);
  } else {
    const int threads = static_cast<int>(block.x * block.y * block.z);
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, kernel, threads, 0);
    count *= multiprocessors();
  }
  if (error == cudaSuccess) return count;
  cudaGetLastError();  // it is none of a launch
  return 0;
}

/// Of how many blocks a cluster of this kernel can be: 1 if the GPU has no clusters. (A part of a GPU may
/// have fewer multiprocessors side by side than another.)
template <class... Parameters>
unsigned most_blocks_of(void (*kernel)(Parameters...), dim3 block) {
  static const unsigned most = [&] {
    unsigned blocks = device_attribute(cudaDevAttrClusterLaunch) ? kMostBlocks : 1;
    while (blocks > 1 && resident(kernel, block, blocks) == 0) --blocks;
    return blocks;
  }();
  return most;
}

#else

// Few, to try the paths for "many".
inline int multiprocessors() { return 4; }
template <class... Parameters>
int64_t resident(void (*)(Parameters...), dim3, unsigned = 1) {
  return multiprocessors();
}
inline size_t most_shared() { return 227 << 10; }
/// 1 while it watches: it does not see what the blocks of a cluster do.
template <class... Parameters>
unsigned most_blocks_of(void (*)(Parameters...), dim3) {
  const sim::Options options = sim::options();
  return options.check || options.count ? 1 : kMostBlocks;
}

#endif

}  // namespace needle::NEEDLE_GPU
