// Lists of free blocks, one set per thread.  (Lesson 03)
#include "needle/array/pool.h"

#include <cstdlib>
#include <utility>

namespace needle {
namespace {

constexpr size_t kStep = 16;      // sizes are rounded up to a multiple of this
constexpr size_t kLargest = 512;  // larger blocks are rare: the system's allocator serves them
// What a thread keeps at most. Without a limit, a thread that only drops what others made would
// collect it for ever.
constexpr size_t kMostKept = 64u << 20;

// AddressSanitizer can only see the misuse of blocks that go back to the system.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kKeeping = false;
#else
constexpr bool kKeeping = true;
#endif

struct FreeBlock {
  FreeBlock* next;
};

struct FreeLists {
  FreeBlock* first[kLargest / kStep + 1] = {};
  size_t kept = 0;  // bytes

  ~FreeLists() {
    for (FreeBlock* block : first) {
      while (block) std::free(std::exchange(block, block->next));
    }
  }
};

// A plain pointer is read with one instruction; null before the first use and after the thread's
// end, when other static objects may still drop theirs.
[[gnu::tls_model("initial-exec")]] thread_local FreeLists* lists = nullptr;
thread_local bool ended = false;

FreeLists* make_lists() {
  struct Owner {
    FreeLists lists;
    Owner() { needle::lists = &lists; }
    ~Owner() {
      needle::lists = nullptr;
      ended = true;
    }
  };
  if (!kKeeping || ended) return nullptr;
  static thread_local Owner owner;
  return &owner.lists;
}

size_t list_of(size_t bytes) { return bytes ? (bytes + kStep - 1) / kStep : 1; }

}  // namespace

void* pool_allocate(size_t bytes) {
  if (bytes <= kLargest && lists) {
    FreeBlock*& first = lists->first[list_of(bytes)];
    if (FreeBlock* block = first) {
      lists->kept -= list_of(bytes) * kStep;
      first = block->next;
      __builtin_prefetch(first);  // the next call reads its link, which may be far away in memory
      return block;
    }
  }
  void* memory = std::malloc(list_of(bytes) * kStep);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void pool_release(void* memory, size_t bytes) noexcept {
  if (!memory) return;
  if (bytes <= kLargest && (lists || make_lists()) && lists->kept < kMostKept) {
    FreeBlock*& first = lists->first[list_of(bytes)];
    lists->kept += list_of(bytes) * kStep;
    first = new (memory) FreeBlock{first};
    return;
  }
  std::free(memory);
}

}  // namespace needle
