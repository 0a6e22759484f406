// The simulated GPU's global memory.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/sim/region.h"
#include "needle/array/storage.h"

namespace needle::sim {

/// Uninitialised memory, aligned to 256 bytes as cudaMalloc's. std::bad_alloc if there is no more.
void* allocate(size_t bytes);
/// ValueError if it was not allocated, or is released already. Null is fine. While checks are on,
/// memory is kept for a while, to find who reads it after its release.
void release(void* memory);

/// For Storage.
extern const Allocator allocator;

/// Bytes before and after each block that nobody owns.
inline constexpr size_t kRedZone = 4096;

/// The block that holds the address, or whose red zone does, or null. It may have been released.
Region* find_block(uintptr_t at);
/// What is allocated now.
struct Allocation {
  uint64_t number;  // 1 is the first of the program
  size_t bytes;
};
std::vector<Allocation> allocations();

}  // namespace needle::sim
