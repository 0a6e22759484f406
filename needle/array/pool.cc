// Slabs of blocks of one size, each slab with a list of its free ones.  (Lesson 03)
//
// One list per size would be simpler. But the first large graph that is dropped scrambles it, and the
// next graph lies all over the memory: a walk through it then waits for every node. In a slab that
// has become empty, blocks are handed out in the order of their addresses again (as in mimalloc:
// Leijen, Zorn & de Moura, "Free List Sharding in Action", 2019).
#include "needle/array/pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace needle {
namespace {

constexpr size_t kStep = 16;      // sizes are rounded up to a multiple of this
constexpr size_t kLargest = 512;  // larger blocks are rare: the system's allocator serves them
constexpr size_t kSizes = kLargest / kStep;
constexpr size_t kSlab = 64 << 10;   // also its alignment: a block's address tells its slab
constexpr size_t kRegion = 1 << 20;  // what the system is asked for
// Blocks that others made a thread keeps up to this; a thread that only drops them passes them on.
constexpr size_t kMostForeign = 4096;

// AddressSanitizer can only see the misuse of blocks that go back to the system.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kPooling = false;
#else
constexpr bool kPooling = true;
#endif

struct Block {
  Block* next;
};

class Lists;

/// The head of kSlab bytes; the blocks follow, from a multiple of 64 on. Only its owner touches
/// anything but `owner`.
struct alignas(64) Slab {
  std::atomic<Lists*> owner;  // null: that thread has ended
  size_t bytes;               // of a block
  size_t used = 0;            // blocks handed out and not dropped by the owner
  Block* free = nullptr;      // dropped blocks
  char* fresh = begin();      // from here on nothing was handed out yet
  Slab* next_slab = nullptr;  // of the owner
  Slab* next_open = nullptr;  // of the owner's slabs of this size with free blocks
  bool open = true;           // in that list, or the one in use

  Slab(Lists* o, size_t b) : owner(o), bytes(b) {}
  char* begin() { return reinterpret_cast<char*>(this + 1); }
  char* end() { return reinterpret_cast<char*>(this) + kSlab; }
  static Slab* of(void* memory) {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(memory) & ~(kSlab - 1));
  }

  void* take() {
    void* memory = nullptr;
    if (free) {
      memory = std::exchange(free, free->next);
    } else if (fresh + bytes <= end()) {
      memory = std::exchange(fresh, fresh + bytes);
    } else {
      return nullptr;
    }
    ++used;
    return memory;
  }

  void give(void* memory) {
    free = new (memory) Block{free};
    if (--used > 0) return;
    free = nullptr;
    fresh = begin();
  }
};

/// Free blocks that belong to no thread, and the memory that slabs are cut from.
class Shared {
 public:
  void give(void* memory, size_t size) {
    const std::lock_guard lock(mutex_);
    first_[size] = new (memory) Block{first_[size]};
  }

  Block* take_all(size_t size) {
    const std::lock_guard lock(mutex_);
    return std::exchange(first_[size], nullptr);
  }

  Slab* new_slab(Lists* owner, size_t size) {
    const std::lock_guard lock(mutex_);
    if (region_ == region_end_) {
      char* memory = static_cast<char*>(std::aligned_alloc(kSlab, kRegion));
      if (!memory) throw std::bad_alloc();
      region_ = memory;
      region_end_ = memory + kRegion;
    }
    return new (std::exchange(region_, region_ + kSlab)) Slab(owner, (size + 1) * kStep);
  }

 private:
  std::mutex mutex_;
  Block* first_[kSizes] = {};
  char* region_ = nullptr;
  char* region_end_ = nullptr;
};

/// Never destroyed: static objects may be dropped after it would be.
Shared& shared() {
  static auto* blocks = new Shared;
  return *blocks;
}

/// What one thread hands out.
class Lists {
 public:
  void* allocate(size_t size) {
    if (Slab* slab = current_[size]) {
      if (void* memory = slab->take()) return memory;
    }
    return allocate_slowly(size);
  }

  void release(void* memory, size_t size) {
    Slab* slab = Slab::of(memory);
    if (slab->owner.load(std::memory_order_relaxed) != this) return keep_foreign(memory, size);
    slab->give(memory);
    if (slab->open) return;
    slab->open = true;
    slab->next_open = std::exchange(open_[size], slab);
  }

  ~Lists() {
    for (size_t size = 0; size < kSizes; ++size) {
      while (Block* block = foreign_[size].first) {
        foreign_[size].first = block->next;
        shared().give(block, size);
      }
    }
    for (Slab* slab = slabs_; slab; slab = slab->next_slab) {
      while (void* memory = slab->take()) shared().give(memory, slab->bytes / kStep - 1);
      slab->owner.store(nullptr, std::memory_order_relaxed);
    }
  }

 private:
  struct Foreign {
    Block* first = nullptr;
    size_t count = 0;
  };

  void* allocate_slowly(size_t size) {
    Foreign& foreign = foreign_[size];
    if (!foreign.first) foreign = {shared().take_all(size), 0};
    if (Block* block = foreign.first) {
      foreign.first = block->next;
      if (foreign.count) --foreign.count;
      return block;
    }
    if (Slab* full = current_[size]) full->open = false;
    if (Slab* slab = open_[size]) {
      open_[size] = slab->next_open;
      current_[size] = slab;
    } else {
      current_[size] = nullptr;  // should there be no memory
      current_[size] = shared().new_slab(this, size);
      current_[size]->next_slab = std::exchange(slabs_, current_[size]);
    }
    return current_[size]->take();
  }

  void keep_foreign(void* memory, size_t size) {
    Foreign& foreign = foreign_[size];
    if (foreign.count >= kMostForeign) return shared().give(memory, size);
    foreign.first = new (memory) Block{foreign.first};
    ++foreign.count;
  }

  Slab* current_[kSizes] = {};
  Slab* open_[kSizes] = {};
  Slab* slabs_ = nullptr;
  Foreign foreign_[kSizes];
};

/// For a thread that has ended but for its static objects: a block of a slab without owner.
void* allocate_late(size_t size) {
  Block* rest = shared().take_all(size);
  if (!rest) {
    Slab* slab = shared().new_slab(nullptr, size);
    while (void* memory = slab->take()) rest = new (memory) Block{rest};
  }
  Block* block = std::exchange(rest, rest->next);
  while (rest) shared().give(std::exchange(rest, rest->next), size);
  return block;
}

// A plain pointer is read with one instruction; null before the first use and after the thread's
// end, when other static objects may still drop theirs.
[[gnu::tls_model("initial-exec")]] thread_local Lists* lists = nullptr;
thread_local bool ended = false;

[[gnu::noinline]] Lists* make_lists() {
  // Not in the thread's own memory: a Python process has little of it for all its modules.
  struct Owner {
    Owner() { lists = new Lists; }
    ~Owner() {
      delete std::exchange(lists, nullptr);
      ended = true;
    }
  };
  if (ended) return nullptr;
  static thread_local Owner owner;
  return lists;
}

size_t size_of_block(size_t bytes) { return bytes ? (bytes - 1) / kStep : 0; }

}  // namespace

void* pool_allocate(size_t bytes) {
  if (kPooling && bytes <= kLargest) {
    const size_t size = size_of_block(bytes);
    return lists || make_lists() ? lists->allocate(size) : allocate_late(size);
  }
  const bool aligned = bytes > 0 && bytes <= kLargest && bytes % alignof(Slab) == 0;
  void* memory =
      aligned ? std::aligned_alloc(alignof(Slab), bytes) : std::malloc(std::max(bytes, kStep));
  if (!memory) throw std::bad_alloc();
  return memory;
}

void pool_release(void* memory, size_t bytes) noexcept {
  if (!memory) return;
  if (!kPooling || bytes > kLargest) return std::free(memory);
  if (lists || make_lists()) return lists->release(memory, size_of_block(bytes));
  shared().give(memory, size_of_block(bytes));
}

}  // namespace needle
