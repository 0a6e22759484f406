// The simulated GPU's global memory.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>

#include "needle/array/storage.h"

namespace needle::sim {

/// Uninitialised memory, aligned to 256 bytes as cudaMalloc's. std::bad_alloc if there is no more.
void* allocate(size_t bytes);
/// ValueError if it was not allocated, or is released already. Null is fine.
void release(void* memory);

/// For Storage.
extern const Allocator allocator;

}  // namespace needle::sim
