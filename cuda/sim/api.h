// The part of CUDA's runtime that small programs use.  (Lesson 04)
//
// As on a GPU, errors are returned and remembered, not thrown. There is one stream, and everything has
// ended when a call returns. Events measure the host's time, which says nothing about a GPU's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/sim/launch.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevicePointer = 17,
  cudaErrorInvalidMemcpyDirection = 21,
  cudaErrorInvalidDevice = 101,
  cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin;
  int warpSize, maxThreadsPerBlock, multiProcessorCount, major, minor;
  int maxThreadsPerMultiProcessor, regsPerBlock;
};

cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, size_t bytes);
cudaError_t cudaFreeHost(void* memory);
/// `kind` must fit the pointers, and both ranges lie in memory that is there.
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* memory, int value, size_t bytes);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);

cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorString(cudaError_t error);
const char* cudaGetErrorName(cudaError_t error);
/// The error of a kernel that failed, from then on for ever.
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceReset();

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaDeviceSynchronize(); }

cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);

template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaMallocManaged(T** memory, size_t bytes, unsigned = 1) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t = nullptr) {
  return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t = nullptr) {
  return cudaMemset(memory, value, bytes);
}

namespace needle::sim {

/// More dynamic shared memory than 48 KiB has to be allowed for a kernel.
cudaError_t allow_shared(const void* kernel, size_t bytes);
cudaError_t copy_symbol(void* to, const void* from, size_t bytes, size_t size, size_t offset,
                        bool is_to_symbol);

/// What stands between <<< and >>>.
struct Configuration {
  dim3 grid, block;
  size_t dynamic_shared = 0;
  cudaStream_t stream = nullptr;
};

/// As run(), but errors are remembered for cudaGetLastError.
void run_remembering(const LaunchSite& site, const Configuration& configuration, const Body& body);

/// kernel<<<configuration>>>(arguments…).
template <class Kernel, class... Arguments>
void launch_remembering(const LaunchSite& site, const Configuration& configuration, Kernel kernel,
                        Arguments... arguments) {
  const auto call = [kernel, ... copies = arguments] { kernel(copies...); };
  using Call = decltype(call);
  run_remembering(site, configuration,
                  {[](const void* data) { (*static_cast<Call*>(data))(); }, &call, sizeof call});
}

/// Runs a program's main function. When the program exits, what was found and counted is written to
/// the file that the environment variable NEEDLE_SIM_REPORT names. The exit status of the program.
int run_program(int (*program)(int, char**), int count, char** arguments);

}  // namespace needle::sim

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  return needle::sim::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}
template <class T>
cudaError_t cudaMemcpyToSymbol(T& symbol, const void* from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind = cudaMemcpyHostToDevice) {
  return needle::sim::copy_symbol(&symbol, from, bytes, sizeof(T), offset, true);
}
template <class T>
cudaError_t cudaMemcpyFromSymbol(void* to, const T& symbol, size_t bytes, size_t offset = 0,
                                 cudaMemcpyKind = cudaMemcpyDeviceToHost) {
  return needle::sim::copy_symbol(to, &symbol, bytes, sizeof(T), offset, false);
}
