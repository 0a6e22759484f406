// A machine: one thread of the host that runs blocks, one after the other, by fibers.  (Lesson 04)
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include "cuda/sim/fiber.h"
#include "cuda/sim/finding.h"
#include "cuda/sim/launch.h"
#include "cuda/sim/options.h"
#include "cuda/sim/sync.h"
#include "cuda/sim/warp.h"

namespace needle::sim {

class Cluster;
class Trace;

/// Of a block of that shape; x fastest.
constexpr uint3 thread_index(unsigned linear, uint3 block) {
  return {linear % block.x, linear / block.x % block.y, linear / block.x / block.y};
}

/// One launch, which several machines work on.
struct Launch {
  Launch(const LaunchSite& site, std::string kernel, uint3 grid, uint3 block, size_t dynamic_shared,
         const Body& body, const Options& options)
      : site(site),
        kernel(std::move(kernel)),
        grid(grid),
        block(block),
        threads(block.x * block.y * block.z),
        dynamic_shared(dynamic_shared),
        body(body),
        options(options) {}

  int64_t blocks() const { return int64_t{grid.x} * grid.y * grid.z; }

  LaunchSite site;
  std::string kernel;  // its name without parentheses
  uint3 grid, block;
  unsigned threads;  // of a block
  size_t dynamic_shared;
  Body body;
  Options options;

  std::atomic<bool> stopped = false;
  std::mutex mutex;
  std::optional<Finding> fault;  // why it stopped
  Trace* trace = nullptr;        // null: nothing is watched
  Cluster* cluster = nullptr;    // null: each block is on its own
};

/// What a CUDA thread is at.
enum class State : uint8_t { ready, at_barrier, at_warp_op, ended, failed };

struct WarpCall {
  WarpOp op;
  uint32_t mask;
  uint64_t value;
  int lane, width;
};

struct Thread {
  Fiber fiber;
  uint3 index;
  unsigned linear;  // x fastest
  State state;
  bool has_begun;
  Place place;      // where it waits
  bool vote;        // at a barrier
  bool of_cluster;  // that is the cluster's
  WarpCall call;    // at a warp operation
  uint64_t result;  // of that
  uint64_t steps;   // basic blocks it went through, in whole slices
};

class Machine {
 public:
  /// This thread's.
  static Machine& mine();
  /// The same while one of its fibers runs, else null.
  static Machine* running();

  /// Block `number` of the launch, x fastest; launch.fault says why if it was stopped.
  void run_block(Launch& launch, int64_t number);

  // --- what a running fiber calls ---
  int barrier(BarrierVote vote, bool mine, Place place);
  uint64_t warp_exchange(const WarpCall& call, Place place);
  uint32_t live_lanes() const;
  /// The same in block `rank` of the cluster.
  void* of_block(void* shared, unsigned rank, const Place& place);
  void* dynamic_shared() const { return dynamic_shared_.get() + kDynamicRedZone; }
  static constexpr size_t kDynamicRedZone = 4096;
  /// Its budget of steps is used up.
  void end_slice(uintptr_t pc);
  void fence();
  /// Stops the launch.
  [[noreturn]] void fail(Finding what);
  [[noreturn]] void fail(Kind kind, const Place& place, const std::string& what);
  /// From a signal handler: the processor refused an instruction of the running fiber.
  void crash(int signal, uintptr_t at, uintptr_t pc);

  const Thread& current() const { return *current_; }
  /// That the running thread has taken.
  uint64_t steps() const;

 private:
  void prepare(int64_t number);
  void run_thread(Thread& thread);
  /// Runs what is ready, until nothing is.
  void run_ready();
  /// Nothing is ready: opens the barrier, or stops the launch because it will never open.
  bool release();
  /// If these lanes are at the same operation, gives each its result.
  bool meet(unsigned warp, uint32_t mask, const Place& place);
  Finding deadlock() const;
  Finding missing_lanes(const Thread& waiting, const std::string& all) const;
  Finding crashed() const;
  /// The launch's fault, unless it has one already.
  void stop(Finding what);
  Finding finding(Kind kind, const Thread& thread, const std::string& what) const;

  Launch* launch_ = nullptr;
  uint3 block_ = {};
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<unsigned> order_;
  std::vector<uint32_t> waiting_;  // of each warp the lanes at a warp operation
  std::unique_ptr<char, void (*)(void*)> dynamic_shared_{nullptr, nullptr};
  size_t dynamic_size_ = 0;  // without the red zones around it
  Thread* current_ = nullptr;
  unsigned ended_ = 0;
  uint64_t slice_ = 0;     // steps of a thread between two looks at the clock
  uint64_t stalled_ = 0;   // slices since a thread last got further
  uint64_t barriers_ = 0;  // that this block went through
  int votes_ = 0;          // of the last barrier
  struct {
    int signal = 0;
    uintptr_t at, pc;
  } crash_;
};

}  // namespace needle::sim
