// __syncthreads, the barrier of a cluster, and what is wrong if it never opens.  (Lesson 04)
#include <map>
#include <string_view>

#include "cuda/sim/cluster.h"
#include "cuda/sim/machine.h"
#include "cuda/sim/symbols.h"
#include "cuda/sim/trace.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

constexpr uint64_t kSteps = 128;  // a barrier counts as that many towards step_limit

bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

std::string threads(int64_t count) { return str(count, count == 1 ? " thread" : " threads"); }

}  // namespace

int Machine::barrier(BarrierVote vote, bool mine, Place place) {
  Thread& self = *current_;
  self.state = State::at_barrier;
  self.place = place;
  self.vote = mine;
  self.of_cluster = vote == BarrierVote::cluster;
  self.fiber.suspend();
  switch (vote) {
    case BarrierVote::count: return votes_;
    case BarrierVote::all: return votes_ == static_cast<int>(launch_->threads);
    case BarrierVote::any: return votes_ != 0;
    default: return 0;
  }
}

void* Machine::of_block(void* shared, unsigned rank, const Place& place) {
  const Cluster* cluster = launch_->cluster;
  void* there = cluster ? cluster->of_block(shared, block_.y, rank) : rank == 0 ? shared : nullptr;
  if (there) return there;
  const unsigned blocks = cluster ? launch_->grid.y : 1;
  fail(Kind::out_of_bounds, place,
       str(name_of(Kind::out_of_bounds), ": map_shared_rank at ", text(location_of(place)),
           rank < blocks ? " is given an address that is not in shared memory"
                         : str(" asks for block ", rank, " of a cluster of ", blocks)));
}

bool Machine::release() {
  const Place& place = threads_[0]->place;
  bool together = ended_ == 0;
  int votes = 0;
  for (unsigned i = 0; together && i < launch_->threads; ++i) {
    together = threads_[i]->state == State::at_barrier && same(threads_[i]->place, place);
    votes += threads_[i]->vote;
  }
  if (!together) {
    stop(deadlock());
    return false;
  }
  if (const uint64_t most = launch_->options.step_limit / kSteps; ++barriers_ > most) {
    Finding out = finding(
        Kind::endless, *threads_[0],
        str(name_of(Kind::endless), ": a block came to ", most, " barriers, the last at ",
            text(location_of(place)), ". If the kernel really needs so many, raise step_limit"));
    out.at = location_of(place);
    stop(std::move(out));
    return false;
  }
  if (threads_[0]->of_cluster && launch_->cluster && !launch_->cluster->wait()) return false;
  for (unsigned i = 0; i < launch_->threads; ++i) threads_[i]->state = State::ready;
  votes_ = votes;
  stalled_ = 0;
  if (launch_->trace) launch_->trace->barrier(place);
  return true;
}

Finding Machine::deadlock() const {
  std::map<std::string, int64_t> barriers, warp_ops;
  for (unsigned i = 0; i < launch_->threads; ++i) {
    const std::string place = text(location_of(threads_[i]->place));
    if (threads_[i]->state == State::at_barrier) ++barriers[place];
    if (threads_[i]->state == State::at_warp_op) ++warp_ops[place];
  }
  // The one to show: at a warp operation, or where the fewest wait.
  const auto rank = [&](const Thread& thread) -> int64_t {
    if (thread.state == State::at_warp_op) return 0;
    return thread.state == State::at_barrier ? barriers[text(location_of(thread.place))] : 1 << 20;
  };
  const Thread* first = threads_[0].get();
  for (unsigned i = 1; i < launch_->threads; ++i) {
    if (rank(*threads_[i]) < rank(*first)) first = threads_[i].get();
  }
  std::string waiting;
  for (const auto& [place, count] : barriers) {
    waiting += str(waiting.empty() ? "" : ", ", threads(count), " at the barrier ", place);
  }
  for (const auto& [place, count] : warp_ops) {
    waiting += str(waiting.empty() ? "" : ", ", threads(count), " at the warp operation ", place);
  }
  if (ended_ != 0) waiting += str(", ", threads(ended_), " ended");
  if (!warp_ops.empty()) return missing_lanes(*first, waiting);
  const bool is_exit = barriers.size() == 1 && ended_ != 0;
  const std::string advice =
      is_exit
          ? "Every thread of a block must come to __syncthreads(): one with nothing to do skips "
            "the work, not the barrier (if (i < n) { … } instead of return)"
          : "All threads of a block must come to the same __syncthreads(): take it out of the "
            "branch or loop that only some of them enter";
  const Kind kind = is_exit ? Kind::early_exit : Kind::barrier_divergence;
  Finding out = finding(kind, *first, str(name_of(kind), ": ", waiting, ". ", advice));
  out.at = location_of(first->place);
  return out;
}

}  // namespace needle::sim
