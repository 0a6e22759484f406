// Memory of the simulator's GPU, which is the host's.  (Lesson 04)
#include <cstring>

#include "cuda/memory.h"
#include "cuda/sim/runtime.h"
#include "needle/backend/registry.h"

namespace needle::cuda_sim {

// Not cached: a released block shall be one that no kernel may touch.
void* allocate(size_t bytes) { return sim::allocate(bytes); }
void release(void* data, size_t) noexcept { sim::release(data); }

void copy_in(void* device, const void* host, size_t bytes) {
  if (bytes > 0) std::memcpy(device, host, bytes);
}
void copy_out(void* host, const void* device, size_t bytes) { copy_in(host, device, bytes); }
void synchronize() {}  // a launch returns when its kernel has ended

extern const Kernels table;
extern const GpuLadders ladders;

}  // namespace needle::cuda_sim

/// What is asked of the library: see needle/backend/gpu.h.
extern "C" const needle::Gpu& needle_gpu() {
  using namespace needle;
  static const Gpu gpu = {
      .kernels = &cuda_sim::table,
      .ladders = &cuda_sim::ladders,
      .allocator = sim::allocator,
      .pinned = sim::allocator,
      .copy_in = cuda_sim::copy_in,
      .copy_out = cuda_sim::copy_out,
      .synchronize = cuda_sim::synchronize,
      .cache_statistics = [] { return CacheStatistics{}; },
      .empty_cache = [] {},
      .name = [] { return "simulator"; },
      .memory = [] { return size_t{0}; },
      .set_host_threads = set_num_threads,  // those of this library
  };
  return gpu;
}
