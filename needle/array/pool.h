// Pool: memory for the many small objects of a graph.  (Lesson 03)
//
// A graph makes and drops a few objects per operation, always of the same few sizes. Each thread
// keeps what it dropped, so that the next operation finds memory without asking the system's
// allocator, and objects made one after the other lie beside each other.
//
// Why not mimalloc, which is faster still: Debian's library also replaces `operator delete` for a
// Python module that links it, but not the `operator new` that libstdc++ calls.
#pragma once

#include <cstddef>
#include <limits>
#include <new>

namespace needle {

/// `bytes` of memory, aligned for any object; where `bytes` is a multiple of 64 up to 512, to 64.
/// std::bad_alloc if there is none.
void* pool_allocate(size_t bytes);
/// Gives memory of pool_allocate(bytes) back. Any thread may do it.
void pool_release(void* memory, size_t bytes) noexcept;

/// Base of classes whose `new` and `delete` use the pool.
struct Pooled {
  static void* operator new(size_t bytes) { return pool_allocate(bytes); }
  static void operator delete(void* memory, size_t bytes) { pool_release(memory, bytes); }
};

/// For short-lived std::vectors of few elements.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) {}

  T* allocate(size_t n) {
    if (n > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(pool_allocate(n * sizeof(T)));
  }
  void deallocate(T* memory, size_t n) { pool_release(memory, n * sizeof(T)); }
  bool operator==(const PoolAllocator&) const = default;
};

}  // namespace needle
