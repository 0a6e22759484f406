// Global memory: blocks with red zones, all of them known.  (Lesson 04)
#include "cuda/sim/memory.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

#include "needle/array/error.h"

namespace needle::sim {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kRedZone = 256;  // bytes before and after each block

struct Heap {
  std::mutex mutex;
  std::map<uintptr_t, size_t> blocks;
};

/// Never destroyed: arrays held by other static objects may be released after it would be.
Heap& heap() {
  static auto* heap = new Heap;
  return *heap;
}

}  // namespace

void* allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto* memory = static_cast<char*>(std::aligned_alloc(kAlignment, rounded + 2 * kRedZone));
  if (!memory) throw std::bad_alloc();
  const std::lock_guard lock(heap().mutex);
  heap().blocks[reinterpret_cast<uintptr_t>(memory + kRedZone)] = bytes;
  return memory + kRedZone;
}

void release(void* memory) {
  if (!memory) return;
  {
    const std::lock_guard lock(heap().mutex);
    if (heap().blocks.erase(reinterpret_cast<uintptr_t>(memory)) == 0) {
      throw ValueError(
          str("cuda_sim: ", memory, " is no memory of the device, or released already"));
    }
  }
  std::free(static_cast<char*>(memory) - kRedZone);
}

const Allocator allocator = {
    [](size_t bytes, int) { return allocate(bytes); },
    [](void* memory, size_t, int) { release(memory); },
};

}  // namespace needle::sim
