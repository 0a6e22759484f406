// Blocks that run at the same time and reach each other's shared memory.  (Lesson 04)
//
// Of a launch with clusters, the blocks of one x are a cluster, and run each on a thread of the host of
// its own: what is a thread's own there is the block's shared memory (device.h).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "cuda/sim/symbols.h"

namespace needle::sim {

struct Launch;

/// Runs all blocks of the launch.
void run_clusters(Launch& launch);

/// One cluster after another, on the same threads of the host.
class Cluster {
 public:
  explicit Cluster(const std::atomic<bool>& stopped, unsigned blocks);

  /// What the thread of block `rank` calls, in this order. Each waits for the others, and is false if
  /// the launch was stopped.
  bool begin(unsigned rank);
  bool wait();  // those that have ended are not waited for
  bool end();

  /// Where block `to` has what block `from` has at `at`, in shared memory; null if there is no such block,
  /// or no shared memory.
  void* of_block(const void* at, unsigned from, unsigned to) const;

 private:
  bool until_changes(std::unique_lock<std::mutex>& lock, const uint64_t& number, uint64_t before);
  void open_if_all_wait();

  const std::atomic<bool>& stopped_;
  const unsigned blocks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned running_, waiting_ = 0;
  uint64_t openings_ = 0, ends_ = 0;        // of the barrier, of all blocks
  std::vector<std::vector<Range>> shared_;  // the shared memory of each block, piece by piece
};

}  // namespace needle::sim
