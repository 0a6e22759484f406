// Gpu: what a device with memory of its own offers besides its table of kernels.  (Lesson 04)
#pragma once

#include <cstddef>

#include "needle/array/storage.h"
#include "needle/backend/kernels.h"
#include "needle/backend/ladder.h"

namespace needle {

struct Gpu {
  const Kernels* kernels;
  const GpuLadders* ladders;
  Allocator allocator;
  /// Host memory that the GPU reaches, too, and copies from and to at full speed.
  Allocator pinned;
  /// Copies between host and device. They return when `host` may be used again; copy_out waits for
  /// every kernel before it. RuntimeError if one of them faulted.
  void (*copy_in)(void* device, const void* host, size_t bytes);
  void (*copy_out)(void* host, const void* device, size_t bytes);
  /// Waits until all that was asked for is done. RuntimeError if a kernel faulted.
  void (*synchronize)();
  CacheStatistics (*cache_statistics)();
  void (*empty_cache)();
  /// The GPU's name and its memory in bytes.
  const char* (*name)();
  size_t (*memory)();
  /// How many threads of the host the simulator may use.
  void (*set_host_threads)(int threads);
};

/// The GPU or the simulator, ready for use. Each is in a library of its own, libneedle_cuda.so and
/// libneedle_cuda_sim.so, which is loaded when it is first asked for, and has a function needle_gpu
/// that gives it. RuntimeError, with what to do, if there is no library, no driver, or no GPU.
const Gpu& gpu(Device device);

}  // namespace needle
