// __syncthreads, and what is wrong if it never opens.  (Lesson 04)
#include <map>
#include <string_view>

#include "cuda/sim/machine.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

constexpr uint64_t kMostBarriers = 1 << 20;  // of one block

bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

std::string text(const Place& place) { return str(place.file_name(), ":", place.line()); }

std::string threads(int64_t count) { return str(count, count == 1 ? " thread" : " threads"); }

}  // namespace

int Machine::barrier(BarrierVote vote, bool mine, Place place) {
  Thread& self = *current_;
  self.state = State::at_barrier;
  self.place = place;
  self.vote = mine;
  self.fiber.suspend();
  switch (vote) {
    case BarrierVote::count: return votes_;
    case BarrierVote::all: return votes_ == static_cast<int>(launch_->threads);
    case BarrierVote::any: return votes_ != 0;
    default: return 0;
  }
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
    stop(describe_deadlock());
    return false;
  }
  if (++barriers_ > kMostBarriers) {
    stop(str("the kernel seems to be endless: a block came to ", kMostBarriers,
             " barriers, the last at ", text(place), "\n  ", where(*threads_[0])));
    return false;
  }
  for (unsigned i = 0; i < launch_->threads; ++i) threads_[i]->state = State::ready;
  votes_ = votes;
  stalled_ = 0;
  return true;
}

std::string Machine::describe_deadlock() const {
  std::map<std::string, int64_t> barriers, warp_ops;
  const Thread* first = nullptr;
  for (unsigned i = 0; i < launch_->threads; ++i) {
    const Thread& thread = *threads_[i];
    if (thread.state == State::at_barrier) ++barriers[text(thread.place)];
    if (thread.state == State::at_warp_op) {
      ++warp_ops[text(thread.place)];
      if (!first || first->state != State::at_warp_op) first = &thread;
    }
    if (!first && thread.state != State::ended) first = &thread;
  }
  std::string waiting;
  for (const auto& [place, count] : barriers) {
    waiting += str(waiting.empty() ? "" : ", ", threads(count), " at the barrier ", place);
  }
  for (const auto& [place, count] : warp_ops) {
    waiting += str(waiting.empty() ? "" : ", ", threads(count), " at the warp operation ", place);
  }
  if (ended_ != 0) waiting += str(", ", threads(ended_), " ended");
  if (!warp_ops.empty()) return describe_missing_lanes(*first, waiting);
  if (barriers.size() == 1 && ended_ != 0) {
    return str(
        "barrier after early exit: ", waiting,
        ". Every thread of a block must come to __syncthreads(): a thread with nothing to do "
        "skips the work, not the barrier (if (i < n) { … } instead of return)\n  ",
        where(*first));
  }
  return str("barrier divergence: ", waiting,
             ". All threads of a block must come to the same __syncthreads(): take it out of the "
             "branch or loop that only some threads enter\n  ",
             where(*first));
}

std::string Machine::where(const Thread& thread) const {
  return str("in ", launch_->kernel, ", block (", block_.x, ", ", block_.y, ", ", block_.z,
             "), thread (", thread.index.x, ", ", thread.index.y, ", ", thread.index.z,
             "); launched at ", launch_->site.file, ":", launch_->site.line);
}

}  // namespace needle::sim
