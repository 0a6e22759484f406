// Memory of the GPU: a caching allocator, copies from and to the host, and what can go wrong.
// (Lesson 04)
//
// All work goes to one stream, so it runs in the order in which it was asked for. A block that was
// released may be handed out again at once: whatever still reads it was asked for earlier.
#pragma once

#include <cstddef>

#include "cuda/launch.h"

namespace needle::NEEDLE_GPU {

/// `bytes` of device memory, aligned to 256. std::bad_alloc, with a sentence, if there is no more.
void* allocate(size_t bytes, int index);
void release(void* data, size_t bytes, int index) noexcept;

/// Memory that a kernel needs besides its operands.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : bytes_(bytes), data_(allocate(bytes, 0)) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { release(data_, bytes_, 0); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  void* data_;
};

}  // namespace needle::NEEDLE_GPU
