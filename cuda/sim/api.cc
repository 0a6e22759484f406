// CUDA's runtime, as far as small programs use it.  (Lesson 04)
#include "cuda/sim/api.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <optional>

#include "cuda/sim/runtime.h"
#include "cuda/sim/symbols.h"
#include "needle/array/error.h"

using needle::sim::Finding;
using needle::sim::Kind;
using needle::sim::LaunchSite;
using needle::sim::Region;

struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

namespace {

constexpr size_t kGpuMemory = size_t{8} << 30;  // of the device that we pretend to be
constexpr size_t kSharedByDefault = 48 << 10;

struct State {
  cudaError_t last = cudaSuccess;
  cudaError_t sticky = cudaSuccess;  // a kernel failed: nothing works any more
  std::optional<Finding> unseen;     // of an invalid launch, until somebody asks
  size_t shared_limit = kSharedByDefault;
};

State& state() {
  static State state;
  return state;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) state().last = error;
  return error;
}

void report_unseen() {
  if (state().unseen) add_finding(*state().unseen);
  state().unseen.reset();
}

enum class Owner { host, device, beyond };

/// Whose memory [at, at + bytes) is; beyond: it begins in the device's and does not lie in one block.
Owner owner_of(const void* at, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(at);
  const Region* block = needle::sim::find_block(begin);
  if (!block) return Owner::host;
  return block->has(begin, bytes) && !block->is_freed ? Owner::device : Owner::beyond;
}

}  // namespace

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (!memory) return remember(cudaErrorInvalidValue);
  *memory = nullptr;
  size_t used = bytes;
  for (const auto& allocation : needle::sim::allocations()) used += allocation.bytes;
  if (bytes > kGpuMemory || used > kGpuMemory) return remember(cudaErrorMemoryAllocation);
  if (bytes) *memory = needle::sim::allocate(bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  try {
    needle::sim::release(memory);
  } catch (const needle::ValueError&) {
    return remember(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory ? cudaSuccess : remember(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (state().sticky != cudaSuccess) return state().sticky;
  const Owner target = owner_of(to, bytes), source = owner_of(from, bytes);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault &&
      (to_device != (target != Owner::host) || from_device != (source != Owner::host))) {
    return remember(cudaErrorInvalidValue);
  }
  if (target == Owner::beyond || source == Owner::beyond) return remember(cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  if (owner_of(memory, bytes) != Owner::device) return remember(cudaErrorInvalidValue);
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = kGpuMemory;
  for (const auto& allocation : needle::sim::allocations()) *free -= allocation.bytes;
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() {
  state().unseen.reset();
  return state().sticky != cudaSuccess ? state().sticky : state().last;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  state().last = cudaSuccess;
  return error;
}

cudaError_t cudaDeviceSynchronize() { return state().sticky; }

cudaError_t cudaDeviceReset() {
  report_unseen();
  state() = {};
  return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevicePointer: return "cudaErrorInvalidDevicePointer";
    case cudaErrorInvalidMemcpyDirection: return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    default: return "cudaErrorLaunchFailure";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevicePointer: return "invalid device pointer";
    case cudaErrorInvalidMemcpyDirection: return "invalid copy direction for memcpy";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    default: return "unspecified launch failure";
  }
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : remember(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return remember(cudaErrorInvalidDevice);
  *properties = {.name = "needle simulator",
                 .totalGlobalMem = kGpuMemory,
                 .sharedMemPerBlock = kSharedByDefault,
                 .sharedMemPerBlockOptin = 227 << 10,
                 .warpSize = 32,
                 .maxThreadsPerBlock = 1024,
                 .multiProcessorCount = 132,
                 .major = 9,
                 .minor = 0,
                 .maxThreadsPerMultiProcessor = 2048,
                 .regsPerBlock = 65536};
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaDeviceSynchronize(); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

namespace needle::sim {

cudaError_t allow_shared(const void*, size_t bytes) {
  if (bytes > 227 << 10) return remember(cudaErrorInvalidValue);
  state().shared_limit = std::max(state().shared_limit, bytes);
  return cudaSuccess;
}

cudaError_t copy_symbol(void* to, const void* from, size_t bytes, size_t size, size_t offset,
                        bool is_to_symbol) {
  if (offset + bytes > size) return remember(cudaErrorInvalidValue);
  auto* target = static_cast<char*>(to) + (is_to_symbol ? offset : 0);
  const auto* source = static_cast<const char*>(from) + (is_to_symbol ? 0 : offset);
  std::memcpy(target, source, bytes);
  return cudaSuccess;
}

void run_remembering(const LaunchSite& site, const Configuration& c, const Body& body) {
  report_unseen();  // whoever launches again did not look
  if (state().sticky != cudaSuccess) return;
  std::string reason = refusal(c.grid, c.block, c.dynamic_shared);
  if (reason.empty() && c.dynamic_shared > state().shared_limit) {
    reason = str(c.dynamic_shared, " bytes of dynamic shared memory; more than ", kSharedByDefault,
                 " must be allowed by cudaFuncSetAttribute");
  }
  if (!reason.empty()) {
    state().last = cudaErrorInvalidConfiguration;
    const Location at = {shown_path(site.file), site.line};
    state().unseen =
        Finding{.kind = Kind::unchecked_launch,
                .kernel = site.kernel,
                .at = at,
                .other = {},
                .text = str(name_of(Kind::unchecked_launch), " at ", text(at), ": ", site.kernel,
                            " did not run (", reason,
                            "), and nobody looked. Ask cudaGetLastError() after each launch")};
    return;
  }
  bool is_done = false;
  try {
    is_done = run(site, c.grid, c.block, c.dynamic_shared, body);
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  if (!is_done) state().sticky = state().last = cudaErrorLaunchFailure;
}

/// What is left at the end of a program.
static void finish() {
  report_unseen();
  for (const Allocation& left : allocations()) {
    add_finding({.kind = Kind::leak,
                 .kernel = "",
                 .at = {},
                 .other = {},
                 .text = str(name_of(Kind::leak), ": allocation ", left.number, " of the program, ",
                             left.bytes, " bytes, is never released. Call cudaFree")});
  }
  const char* path = std::getenv("NEEDLE_SIM_REPORT");
  if (!path) return;
  std::ofstream file(path);
  file << report_json() << '\n';
  if (!file) std::fprintf(stderr, "cannot write %s\n", path);
}

int run_program(int (*program)(int, char**), int count, char** arguments) {
  state();  // made before finish() is registered, so that it is there when that runs
  std::atexit(finish);
  try {
    return program(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace needle::sim
