// A machine: one thread of the host that runs blocks, one after the other, by fibers.  (Lesson 04)
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <source_location>
#include <string>
#include <vector>

#include "cuda/sim/fiber.h"
#include "cuda/sim/launch.h"
#include "cuda/sim/options.h"
#include "cuda/sim/sync.h"
#include "cuda/sim/warp.h"

namespace needle::sim {

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

  LaunchSite site;
  std::string kernel;  // its name without parentheses
  uint3 grid, block;
  unsigned threads;  // of a block
  size_t dynamic_shared;
  Body body;
  Options options;

  std::atomic<bool> stopped = false;
  std::mutex mutex;
  std::string error;  // the first fault's
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

  /// False if a thread did something wrong: launch.error says what.
  bool run_block(Launch& launch, uint3 block);

  // --- what a running fiber calls ---
  int barrier(BarrierVote vote, bool mine, Place place);
  uint64_t warp_exchange(const WarpCall& call, Place place);
  uint32_t live_lanes() const;
  void* dynamic_shared() { return dynamic_shared_.get(); }
  /// Its budget of steps is used up.
  void end_slice();
  /// Stops the launch.
  [[noreturn]] void fail(std::string what);

  const Thread& current() const { return *current_; }
  /// That the running thread has taken.
  uint64_t steps() const;

 private:
  void prepare();
  void run_thread(Thread& thread);
  /// Runs what is ready, until nothing is.
  void run_ready();
  /// Nothing is ready: opens the barrier, or says why it never will.
  bool release();
  /// If these lanes are at the same operation, gives each its result.
  bool meet(unsigned warp, uint32_t mask);
  std::string describe_deadlock() const;
  std::string describe_missing_lanes(const Thread& waiting, const std::string& all) const;
  /// The launch's error, unless it has one already.
  void stop(std::string what);
  /// Block, thread and launch, for messages.
  std::string where(const Thread& thread) const;

  Launch* launch_ = nullptr;
  uint3 block_ = {};
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<unsigned> order_;
  std::vector<uint32_t> waiting_;  // of each warp the lanes at a warp operation
  std::unique_ptr<char, void (*)(void*)> dynamic_shared_{nullptr, nullptr};
  size_t dynamic_size_ = 0;
  Thread* current_ = nullptr;
  unsigned ended_ = 0;
  uint64_t stalled_ = 0;   // slices since a thread last got further
  uint64_t barriers_ = 0;  // that this block went through
  int votes_ = 0;          // of the last barrier
};

}  // namespace needle::sim
