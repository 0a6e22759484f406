// Gpu: what a device with memory of its own offers besides its table of kernels.  (Lesson 04)
#pragma once

#include <cstddef>

#include "needle/array/storage.h"
#include "needle/backend/kernels.h"

namespace needle {

struct Gpu {
  const Kernels* kernels;
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
};

/// The GPU, ready for use. RuntimeError, with what to do, if there is no driver or no GPU.
[[gnu::visibility("default")]] const Gpu& cuda_gpu();
/// The simulator, on the host.
[[gnu::visibility("default")]] const Gpu& cuda_sim_gpu();

}  // namespace needle
