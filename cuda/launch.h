// What every kernel file starts from: the same text for nvcc (a GPU) and g++ (the simulator).
// (Lesson 04)
//
//   __global__ void add(const float* a, const float* b, float* c, int n) { … }
//   NEEDLE_LAUNCH((add), dim3(blocks), dim3(256), 0, a, b, c, n);
//
// NEEDLE_LAUNCH((kernel), grid, block, dynamic_shared_bytes, arguments…) starts the kernel on the
// current stream, and throws RuntimeError if the launch itself is refused. The parentheses let the
// kernel be a template: (tile<32, 8>). NEEDLE_DYNAMIC_SHARED(T, name) declares `T* name`, the
// block's dynamic shared memory, aligned to 16 bytes.
//
// NEEDLE_LAUNCH_CLUSTERS does the same without dynamic shared memory, and with the blocks of one x as a
// cluster: they run at the same time, and reach each other's shared memory (cooperative groups).
#pragma once

#include "needle/array/error.h"

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define NEEDLE_GPU cuda

namespace needle::cuda {

/// Throws if the launch just made was refused. `shared` is its dynamic shared memory.
inline void check_launch(cudaError_t error, const char* kernel, const char* file, int line) {
  if (error == cudaSuccess) return;
  throw RuntimeError(
      str(kernel, ": ", cudaGetErrorString(error), " (launched at ", file, ":", line, ")"));
}

/// More than 48 KiB of shared memory for a block have to be asked for, once for each kernel. In these 48
/// is what the kernel declares: no more than 16, where there is dynamic memory beside it.
template <class Kernel>
void allow_shared(Kernel* kernel, size_t bytes, const char* name, const char* file, int line) {
  if (bytes <= 32 << 10) return;
  check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(bytes)),
               name, file, line);
}

/// A launch in which the blocks of one x are a cluster. Its parts point at each other.
struct ClusterLaunch {
  cudaLaunchAttribute attribute = {};
  cudaLaunchConfig_t config = {};

  ClusterLaunch(dim3 grid, dim3 block) {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = attribute.val.clusterDim.z = 1;
    attribute.val.clusterDim.y = grid.y;
    config.gridDim = grid;
    config.blockDim = block;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  ClusterLaunch(const ClusterLaunch&) = delete;
  ClusterLaunch& operator=(const ClusterLaunch&) = delete;
};

template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...), const char* name, const char* file, int line,
                     dim3 grid, dim3 block, const Arguments&... arguments) {
  const ClusterLaunch launch(grid, block);
  cudaLaunchKernelEx(&launch.config, kernel, Parameters(arguments)...);
  check_launch(cudaGetLastError(), name, file, line);
}

/// In a kernel, where nothing can be thrown.
[[noreturn]] __device__ inline void not_implemented(const char* region) {
  printf("%s is not written yet\n", region);
  __trap();
}

}  // namespace needle::cuda

#define NEEDLE_LAUNCH(kernel, grid, block, shared, ...)                            \
  do {                                                                             \
    ::needle::cuda::allow_shared(+kernel, shared, #kernel, __FILE__, __LINE__);    \
    kernel<<<grid, block, shared>>>(__VA_ARGS__);                                  \
    ::needle::cuda::check_launch(cudaGetLastError(), #kernel, __FILE__, __LINE__); \
  } while (0)

#define NEEDLE_LAUNCH_CLUSTERS(kernel, grid, block, ...)                      \
  ::needle::cuda::launch_clusters(+kernel, #kernel, __FILE__, __LINE__, grid, \
                                  block __VA_OPT__(, ) __VA_ARGS__)

#define NEEDLE_DYNAMIC_SHARED(T, name)                          \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  T* const name = reinterpret_cast<T*>(name##_bytes)

#else

#include "cuda/sim/device.h"
#include "cuda/sim/launch.h"

#define NEEDLE_GPU cuda_sim

namespace needle::cuda_sim {

/// In a kernel, where nothing can be thrown: stops it, and the launch throws.
[[noreturn]] inline void not_implemented(const char* region,
                                         sim::Place place = sim::Place::current()) {
  sim::unwritten(region, place);
}

}  // namespace needle::cuda_sim

#define NEEDLE_LAUNCH(kernel, grid, block, shared, ...)                                        \
  ::needle::sim::launch({#kernel, __FILE__, __LINE__}, grid, block, shared,                    \
                        [=](const auto&... arguments) { kernel(arguments...); } __VA_OPT__(, ) \
                            __VA_ARGS__)

#define NEEDLE_LAUNCH_CLUSTERS(kernel, grid, block, ...) \
  ::needle::sim::launch<true>(                           \
      {#kernel, __FILE__, __LINE__}, grid, block, 0,     \
      [=](const auto&... arguments) { kernel(arguments...); } __VA_OPT__(, ) __VA_ARGS__)

#define NEEDLE_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(::needle::sim::dynamic_shared())

#endif
