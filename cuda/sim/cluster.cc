// Clusters.  (Lesson 04)
#include "cuda/sim/cluster.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cuda/sim/crash.h"
#include "cuda/sim/machine.h"

namespace needle::sim {

void run_clusters(Launch& launch) {
  Cluster cluster(launch.stopped, launch.grid.y);
  launch.cluster = &cluster;
  std::vector<std::jthread> threads;
  for (unsigned rank = 0; rank < launch.grid.y; ++rank) {
    threads.emplace_back([&launch, &cluster, rank] {
      catch_crashes();
      bool goes_on = cluster.begin(rank);
      for (unsigned x = 0; x < launch.grid.x && goes_on; ++x) {
        Machine::mine().run_block(launch, x + int64_t{rank} * launch.grid.x);
        goes_on = cluster.end();
      }
    });
  }
}

Cluster::Cluster(const std::atomic<bool>& stopped, unsigned blocks)
    : stopped_(stopped), blocks_(blocks), running_(blocks), shared_(blocks) {}

bool Cluster::begin(unsigned rank) {
  shared_[rank] = thread_memory();
  return wait();
}

bool Cluster::wait() {
  std::unique_lock lock(mutex_);
  const uint64_t before = openings_;
  ++waiting_;
  open_if_all_wait();
  return until_changes(lock, openings_, before);
}

bool Cluster::end() {
  std::unique_lock lock(mutex_);
  const uint64_t before = ends_;
  if (--running_ > 0) {
    open_if_all_wait();
  } else {
    running_ = blocks_;
    ++ends_;
    changed_.notify_all();
  }
  return until_changes(lock, ends_, before);
}

void* Cluster::of_block(const void* at, unsigned from, unsigned to) const {
  if (to >= blocks_) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(at);
  const std::vector<Range>& mine = shared_[from];
  const auto piece = std::ranges::find_if(
      mine, [&](const Range& r) { return address >= r.begin && address < r.end; });
  if (piece == mine.end()) return nullptr;
  return reinterpret_cast<void*>(shared_[to][piece - mine.begin()].begin + address - piece->begin);
}

bool Cluster::until_changes(std::unique_lock<std::mutex>& lock, const uint64_t& number,
                            uint64_t before) {
  while (number == before && !stopped_) changed_.wait_for(lock, std::chrono::milliseconds(10));
  return !stopped_;
}

void Cluster::open_if_all_wait() {
  if (waiting_ < running_) return;
  waiting_ = 0;
  ++openings_;
  changed_.notify_all();
}

}  // namespace needle::sim
