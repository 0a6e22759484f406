// Memory of the GPU: a caching allocator, copies from and to the host, and what can go wrong.
// (Lesson 04)
//
// All work goes to one stream, so it runs in the order in which it was asked for. A block that was
// released may be handed out again at once: whatever still reads it was asked for earlier.
#pragma once

#include <cstddef>

#include "cuda/launch.h"
#include "needle/backend/gpu.h"

namespace needle::NEEDLE_GPU {

/// `bytes` of device memory, aligned to 256. std::bad_alloc, with a sentence, if there is no more.
void* allocate(size_t bytes);
void release(void* data, size_t bytes) noexcept;

/// Copies; `from` may be used again when they return. The second waits for all kernels before it.
void copy_in(void* device, const void* host, size_t bytes);
void copy_out(void* host, const void* device, size_t bytes);
/// Waits until all that was asked for is done. RuntimeError if a kernel faulted.
void synchronize();

/// Memory that a kernel needs besides its operands.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : bytes_(bytes), data_(bytes ? allocate(bytes) : nullptr) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (data_) release(data_, bytes_);
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  void* data_;
};

}  // namespace needle::NEEDLE_GPU
