// Storage: a counted block of memory on one device, and the allocators it comes from.  (Lesson 02)
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "needle/array/device.h"
#include "needle/array/pool.h"
#include "needle/array/ref.h"

namespace needle {

/// How one kind of device hands out memory. `allocate` throws std::bad_alloc when there is none.
struct Allocator {
  void* (*allocate)(size_t bytes, int index);
  void (*release)(void* data, size_t bytes, int index);
};

/// The allocator of a device. RuntimeError if the device is not part of this build.
const Allocator& allocator_for(Device device);
/// Called once by a backend that brings its own memory (CUDA, and its simulator).
void set_allocator(Device::Kind kind, const Allocator& allocator);
/// Makes such a backend call it: needle/backend/registry.cc. RuntimeError, with what to do, if this
/// build or machine lacks the device.
void prepare_device(Device device);

/// The host's caching allocator: 64-byte aligned blocks; a released block is kept for the next
/// request of its size class, so a steady training step asks the system for nothing.
struct CacheStatistics {
  int64_t bytes_in_use;     // handed out now
  int64_t bytes_cached;     // released and kept
  int64_t system_requests;  // how often the system was asked so far
};
CacheStatistics cache_statistics();
/// Returns all kept blocks to the system, except small ones that other threads keep for themselves.
void empty_cache();

/// Memory shared by every array that is a view of it.
class Storage : public RefCounted, public Pooled {
 public:
  /// `bytes` of uninitialised memory. std::bad_alloc if the device has no more.
  static Ref<Storage> allocate(size_t bytes, Device device);
  /// Memory of somebody else (NumPy's, a mapped file's); `drop` is called when the last view goes.
  static Ref<Storage> borrow(void* data, size_t bytes, Device device, std::function<void()> drop);
  ~Storage();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  /// Counts in-place writes, so that backward can tell whether a value it kept is still the one
  /// the forward pass saw.
  uint32_t version() const { return version_; }
  void bump_version() { ++version_; }

 private:
  Storage(void* data, size_t bytes, Device device) : data_(data), bytes_(bytes), device_(device) {}

  uint32_t version_ = 0;
  void* data_;
  size_t bytes_;
  Device device_;
  std::unique_ptr<std::function<void()>> drop_;  // null: the memory is the allocator's
};

}  // namespace needle
