// What every GPU kernel file starts from: one text for two compilers.  (Lesson 04)
//
// nvcc makes machine code for the GPU of it, g++ a program that plays the GPU on the host (cuda/sim).
// Only this header differs; the namespace, NEEDLE_GPU, keeps the two results apart.
#pragma once

#include <cmath>
#include <cstdint>

#include "needle/array/error.h"
#include "needle/array/half.h"
#include "needle/backend/kernels.h"

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define NEEDLE_GPU cuda

namespace needle::cuda {

/// RuntimeError naming the kernel, and what to do, if a launch or an earlier kernel failed.
void check_launch(const char* kernel);

/// More than 48 KiB of dynamic shared memory must be asked for, once per kernel.
template <class Kernel>
void allow_shared(Kernel kernel, size_t bytes) {
  if (bytes <= 48 * 1024) return;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(bytes));
}

}  // namespace needle::cuda

/// kernel<<<grid, block, shared>>>(arguments...), and a check that it was launched. A kernel that is
/// a template stands in parentheses: NEEDLE_LAUNCH((map<4, float>), grid, block, 0, x, n).
#define NEEDLE_LAUNCH(kernel, grid, block, shared, ...)                \
  do {                                                                 \
    needle::cuda::allow_shared(kernel, static_cast<size_t>(shared));   \
    kernel<<<(grid), (block), (shared)>>>(__VA_ARGS__);                \
    needle::cuda::check_launch(#kernel);                               \
  } while (0)

/// T* name: the dynamic shared memory of the launch.
#define NEEDLE_DYNAMIC_SHARED(T, name)                               \
  extern __shared__ __align__(16) unsigned char needle_dynamic[];    \
  T* name = reinterpret_cast<T*>(needle_dynamic)

#else

#define NEEDLE_GPU cuda_sim
#include "cuda/sim/device.h"

#endif
