// Global memory: blocks with red zones, all of them known.  (Lesson 04)
#include "cuda/sim/memory.h"

#include <algorithm>
#include <cstdlib>

#include <deque>
#include <map>
#include <mutex>
#include <new>

#include "cuda/sim/options.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kQuarantine = size_t{64} << 20;  // bytes of released memory that are kept

struct Heap {
  std::mutex mutex;
  std::map<uintptr_t, Region> blocks;  // by their beginning; released ones in quarantine too
  std::deque<uintptr_t> quarantine;
  size_t quarantined = 0;
  uint64_t count = 0;
};

/// Never destroyed: arrays held by other static objects may be released after it would be.
Heap& heap() {
  static auto* heap = new Heap;
  return *heap;
}

void* system_block(uintptr_t begin) { return reinterpret_cast<char*>(begin) - kRedZone; }

/// Gives back what has been longest in quarantine, until it holds no more than `most` bytes.
void shrink(Heap& heap, size_t most) {
  while (heap.quarantined > most) {
    const auto oldest = heap.blocks.find(heap.quarantine.front());
    heap.quarantine.pop_front();
    heap.quarantined -= oldest->second.end - oldest->second.begin;
    std::free(system_block(oldest->first));
    heap.blocks.erase(oldest);
  }
}

}  // namespace

void* allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded + 2 * kRedZone);
  if (!memory) throw std::bad_alloc();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory) + kRedZone;
  Heap& all = heap();
  const std::lock_guard lock(all.mutex);
  all.blocks.insert_or_assign(begin,
                              Region{begin, begin + bytes, Region::global, "", false, ++all.count});
  return reinterpret_cast<void*>(begin);
}

void release(void* memory) {
  if (!memory) return;
  Heap& all = heap();
  const bool keeps = options().check;
  const std::lock_guard lock(all.mutex);
  const auto found = all.blocks.find(reinterpret_cast<uintptr_t>(memory));
  if (found == all.blocks.end()) {
    throw ValueError(str("cuda_sim: ", memory, " is no memory of the device"));
  }
  Region& block = found->second;
  if (block.is_freed) throw ValueError(str("cuda_sim: ", memory, " is released already"));
  block.is_freed = true;
  all.quarantine.push_back(found->first);
  all.quarantined += block.end - block.begin;
  shrink(all, keeps ? kQuarantine : 0);
}

const Allocator allocator = {
    [](size_t bytes, int) { return allocate(bytes); },
    [](void* memory, size_t, int) { release(memory); },
};

Region* find_block(uintptr_t at) {
  Heap& all = heap();
  const std::lock_guard lock(all.mutex);
  auto next = all.blocks.upper_bound(at);
  const bool is_before = next != all.blocks.end() && at + kRedZone >= next->first;
  if (next == all.blocks.begin()) return is_before ? &next->second : nullptr;
  Region& block = std::prev(next)->second;
  if (at < block.end) return &block;
  const size_t rounded = (block.end - block.begin + kAlignment - 1) / kAlignment * kAlignment;
  if (at < block.begin + rounded + kRedZone) return &block;
  return is_before ? &next->second : nullptr;
}

std::vector<Allocation> allocations() {
  Heap& all = heap();
  const std::lock_guard lock(all.mutex);
  std::vector<Allocation> out;
  for (const auto& [begin, block] : all.blocks) {
    if (!block.is_freed) out.push_back({block.number, block.end - block.begin});
  }
  std::ranges::sort(out, {}, &Allocation::number);
  return out;
}

}  // namespace needle::sim
