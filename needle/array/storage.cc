// The host's caching allocator and the table of allocators.  (Lesson 02)
#include "needle/array/storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "needle/array/error.h"

namespace needle {
namespace {

constexpr size_t kAlignment = 64;       // a cache line, and the widest vector register
constexpr size_t kHugePage = 2u << 20;  // fewer TLB misses for blocks of at least this size

// AddressSanitizer can only see writes outside of what it handed out itself, block by block.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif

/// Sizes are rounded up to eight steps per power of two: at most 12.5% is lost, and arrays of
/// nearly the same size can reuse each other's blocks.
size_t size_class(size_t bytes) {
  if (!kCaching) return std::max<size_t>(bytes, 1);
  if (bytes <= 8 * kAlignment) return std::max((bytes + kAlignment - 1) & -kAlignment, kAlignment);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

constexpr size_t kSmall = 8 * kAlignment;  // each multiple of kAlignment up to here is a class

class HostCache;

/// The small blocks that one thread released: it takes them again without a lock. The counters are
/// written by that thread alone, and read by all.
struct SmallBlocks {
  static constexpr size_t kMost = 1 << 17;  // of a class; more than that goes to the others

  SmallBlocks();
  ~SmallBlocks();
  static void count(std::atomic<int64_t>& counter, int64_t bytes) {
    counter.store(counter.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  std::vector<void*>& of(size_t size) { return kept[size / kAlignment - 1]; }

  std::vector<void*> kept[kSmall / kAlignment];
  std::atomic<int64_t> in_use = 0, cached = 0;
};

// Null before the first use, and after the end of the thread. A plain pointer is read faster than an
// object with a constructor.
[[gnu::tls_model("initial-exec")]] constinit thread_local SmallBlocks* small_blocks = nullptr;
constinit thread_local bool thread_ended = false;

class HostCache {
 public:
  void* allocate(size_t bytes) {
    const size_t size = size_class(bytes);
    if (SmallBlocks* mine = size <= kSmall ? own_blocks() : nullptr) {
      std::vector<void*>& kept = mine->of(size);
      if (!kept.empty()) {
        void* data = kept.back();
        kept.pop_back();
        SmallBlocks::count(mine->in_use, static_cast<int64_t>(size));
        SmallBlocks::count(mine->cached, -static_cast<int64_t>(size));
        return data;
      }
    }
    {
      const std::lock_guard lock(mutex_);
      statistics_.bytes_in_use += static_cast<int64_t>(size);
      std::vector<void*>& kept = kept_[size];
      if (!kept.empty()) {
        void* data = kept.back();
        kept.pop_back();
        statistics_.bytes_cached -= static_cast<int64_t>(size);
        return data;
      }
      ++statistics_.system_requests;
    }
    return from_system(size);
  }

  void release(void* data, size_t bytes) {
    const size_t size = size_class(bytes);
    if (SmallBlocks* mine = size <= kSmall ? own_blocks() : nullptr) {
      std::vector<void*>& kept = mine->of(size);
      if (kept.size() < SmallBlocks::kMost) {
        SmallBlocks::count(mine->in_use, -static_cast<int64_t>(size));
        SmallBlocks::count(mine->cached, static_cast<int64_t>(size));
        kept.push_back(data);
        return;
      }
    }
    const std::lock_guard lock(mutex_);
    statistics_.bytes_in_use -= static_cast<int64_t>(size);
    if (!kCaching) return to_system(data, size);
    statistics_.bytes_cached += static_cast<int64_t>(size);
    kept_[size].push_back(data);
  }

  /// What other threads keep for themselves stays with them.
  void empty() {
    if (small_blocks) take_over(*small_blocks);
    const std::lock_guard lock(mutex_);
    for (auto& [size, kept] : kept_) {
      for (void* data : kept) to_system(data, size);
      statistics_.bytes_cached -= static_cast<int64_t>(size * kept.size());
      kept.clear();
    }
  }

  CacheStatistics statistics() {
    const std::lock_guard lock(mutex_);
    CacheStatistics sum = statistics_;
    for (const SmallBlocks* blocks : threads_) {
      sum.bytes_in_use += blocks->in_use.load(std::memory_order_relaxed);
      sum.bytes_cached += blocks->cached.load(std::memory_order_relaxed);
    }
    return sum;
  }

  void add(SmallBlocks* blocks) {
    const std::lock_guard lock(mutex_);
    threads_.insert(blocks);
  }

  void remove(SmallBlocks* blocks) {
    take_over(*blocks);
    const std::lock_guard lock(mutex_);
    threads_.erase(blocks);
  }

 private:
  /// Null where there is no caching, or no more.
  static SmallBlocks* own_blocks() {
    if (small_blocks || !kCaching || thread_ended) return small_blocks;
    // Not in the thread's own memory: a Python process has little of it for all its modules.
    static thread_local const auto blocks = std::make_unique<SmallBlocks>();
    return blocks.get();
  }

  /// Moves a thread's blocks and counts to those of all.
  void take_over(SmallBlocks& blocks) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < std::size(blocks.kept); ++i) {
      std::vector<void*>& kept = kept_[(i + 1) * kAlignment];
      kept.insert(kept.end(), blocks.kept[i].begin(), blocks.kept[i].end());
      blocks.kept[i].clear();
    }
    statistics_.bytes_in_use += blocks.in_use.exchange(0);
    statistics_.bytes_cached += blocks.cached.exchange(0);
  }

  static void to_system(void* data, size_t size) {
    if (kCaching && size <= kSmall) return pool_release(data, size);
    std::free(data);
  }

  void* from_system(size_t size) {
    // The pool aligns multiples of kAlignment like that, and posix_memalign would take twice as much.
    if (kCaching && size <= kSmall) return pool_allocate(size);
    const size_t alignment = size >= kHugePage ? kHugePage : kAlignment;
    void* data = nullptr;
    if (posix_memalign(&data, alignment, size) != 0) {
      empty();  // the kept blocks may be all that is missing
      if (posix_memalign(&data, alignment, size) != 0) {
        const std::lock_guard lock(mutex_);
        statistics_.bytes_in_use -= static_cast<int64_t>(size);
        throw std::bad_alloc();
      }
    }
    if (alignment == kHugePage) madvise(data, size, MADV_HUGEPAGE);
    return data;
  }

  std::mutex mutex_;
  std::unordered_set<SmallBlocks*> threads_;
  std::unordered_map<size_t, std::vector<void*>> kept_;
  CacheStatistics statistics_ = {};
};

/// Never destroyed: arrays held by other static objects may be released after it would be.
HostCache& host_cache() {
  static auto* cache = new HostCache;
  return *cache;
}

SmallBlocks::SmallBlocks() {
  host_cache().add(this);
  small_blocks = this;
}

SmallBlocks::~SmallBlocks() {
  small_blocks = nullptr;
  thread_ended = true;
  host_cache().remove(this);
}

constexpr Allocator kHost = {
    [](size_t bytes, int) { return host_cache().allocate(bytes); },
    [](void* data, size_t bytes, int) { host_cache().release(data, bytes); },
};

// The others are set by prepare_device.
Allocator allocators[kDeviceKinds] = {kHost, kHost, {}, {}};

}  // namespace

const Allocator& allocator_for(Device device) {
  const Allocator& allocator = allocators[device.kind];
  if (!allocator.allocate || device.index != 0) prepare_device(device);
  return allocator;
}

void set_allocator(Device::Kind kind, const Allocator& allocator) { allocators[kind] = allocator; }

CacheStatistics cache_statistics() { return host_cache().statistics(); }
void empty_cache() { host_cache().empty(); }

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  void* data = allocator_for(device).allocate(bytes, device.index);
  return Ref(new Storage(data, bytes, device));
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device, std::function<void()> drop) {
  auto owned = std::make_unique<std::function<void()>>(std::move(drop));
  Ref storage(new Storage(data, bytes, device));
  storage->drop_ = std::move(owned);
  return storage;
}

Storage::~Storage() {
  if (drop_) {
    (*drop_)();
  } else {
    allocator_for(device_).release(data_, bytes_, device_.index);
  }
}

}  // namespace needle
