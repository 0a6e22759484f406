// The host's caching allocator and the table of allocators.  (Lesson 02)
#include "needle/array/storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
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

class HostCache {
 public:
  void* allocate(size_t bytes) {
    const size_t size = size_class(bytes);
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
    const std::lock_guard lock(mutex_);
    statistics_.bytes_in_use -= static_cast<int64_t>(size);
    if (!kCaching) {
      std::free(data);
      return;
    }
    statistics_.bytes_cached += static_cast<int64_t>(size);
    kept_[size].push_back(data);
  }

  void empty() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, kept] : kept_) {
      for (void* data : kept) std::free(data);
      kept.clear();
    }
    statistics_.bytes_cached = 0;
  }

  CacheStatistics statistics() {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  void* from_system(size_t size) {
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
  std::unordered_map<size_t, std::vector<void*>> kept_;
  CacheStatistics statistics_ = {};
};

/// Never destroyed: arrays held by other static objects may be released after it would be.
HostCache& host_cache() {
  static auto* cache = new HostCache;
  return *cache;
}

constexpr Allocator kHost = {
    [](size_t bytes, int) { return host_cache().allocate(bytes); },
    [](void* data, size_t bytes, int) { host_cache().release(data, bytes); },
};

Allocator allocators[kDeviceKinds] = {kHost, kHost, {}, kHost};

}  // namespace

const Allocator& allocator_for(Device device) {
  const Allocator& allocator = allocators[device.kind];
  if (!allocator.allocate) {
    throw RuntimeError(str("device ", device, ": this build has no memory there"));
  }
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
  Ref storage(new Storage(data, bytes, device));
  storage->drop_ = std::move(drop);
  return storage;
}

Storage::~Storage() {
  if (drop_) {
    drop_();
  } else {
    allocator_for(device_).release(data_, bytes_, device_.index);
  }
}

}  // namespace needle
