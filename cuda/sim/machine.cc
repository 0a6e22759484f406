// Runs the threads of a block in turns.  (Lesson 04)
#include "cuda/sim/machine.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <random>
#include <utility>

#include "cuda/sim/hooks.h"
#include "cuda/sim/symbols.h"
#include "cuda/sim/trace.h"
#include "needle/array/error.h"

// CUDA's variables; device.h shows them to kernels as constants.
__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace needle::sim {
namespace {

constexpr uint64_t kSlice = 1 << 16;           // steps between two looks at the clock
constexpr uint64_t kTurn = uint64_t{1} << 26;  // steps after which others get a turn
constexpr uint64_t kWatchedSlice = 1 << 12;    // of a launch that is watched

thread_local Machine* running_machine = nullptr;

void run_body(void* argument) {
  const auto* body = static_cast<const Body*>(argument);
  body->run(body->data);
}

}  // namespace

Machine& Machine::mine() {
  // Not in the thread's own memory: a Python process has little of it for all its modules.
  static thread_local const auto machine = std::make_unique<Machine>();
  return *machine;
}

Machine* Machine::running() { return running_machine; }

void Machine::run_block(Launch& launch, int64_t number) {
  launch_ = &launch;
  const auto x = static_cast<unsigned>(number % launch.grid.x);
  const auto yz = static_cast<unsigned>(number / launch.grid.x);
  block_ = {x, yz % launch.grid.y, yz / launch.grid.y};
  prepare(number);
  if (launch.trace) launch.trace->begin_block(*this, number);
  do {
    run_ready();
  } while (!launch.stopped && ended_ < launch.threads && release());
  if (launch.trace && !launch.stopped) launch.trace->end_block();
  for (unsigned i = 0; i < launch.threads; ++i) {
    if (threads_[i]->state != State::ended) threads_[i]->fiber.abandon();
  }
}

void Machine::prepare(int64_t number) {
  const Launch& launch = *launch_;
  const unsigned count = launch.threads;
  while (threads_.size() < count) threads_.push_back(std::make_unique<Thread>());
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = *threads_[i];
    thread.linear = i;
    thread.index = thread_index(i, launch.block);
    thread.state = State::ready;
    thread.steps = 0;
    thread.has_begun = false;
  }
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0);
  if (launch.options.order == Order::reversed) std::reverse(order_.begin(), order_.end());
  if (launch.options.order == Order::shuffled) {
    std::shuffle(order_.begin(), order_.end(),
                 std::mt19937_64(launch.options.seed + static_cast<uint64_t>(number)));
  }
  waiting_.assign((count + 31) / 32, 0);
  if (dynamic_size_ < launch.dynamic_shared || !dynamic_shared_) {
    dynamic_size_ = (launch.dynamic_shared + 1023) / 1024 * 1024;
    void* memory = std::aligned_alloc(256, dynamic_size_ + 2 * kDynamicRedZone);
    dynamic_shared_ = {static_cast<char*>(memory), std::free};
    if (!dynamic_shared_) throw std::bad_alloc();
  }
  slice_ = launch.trace ? kWatchedSlice : kSlice;
  ended_ = 0;
  stalled_ = 0;
  barriers_ = 0;
  blockIdx = block_;
  blockDim = launch.block;
  gridDim = launch.grid;
}

void Machine::run_ready() {
  for (bool any = true; any;) {
    any = false;
    for (const unsigned i : order_) {
      Thread& thread = *threads_[i];
      if (thread.state != State::ready) continue;
      run_thread(thread);
      if (launch_->stopped) return;
      any = true;
    }
  }
}

void Machine::run_thread(Thread& thread) {
  current_ = &thread;
  threadIdx = thread.index;
  hooks::budget = static_cast<int64_t>(slice_);
  running_machine = this;
  const bool first = !std::exchange(thread.has_begun, true);
  const bool ended = first ? thread.fiber.start(&run_body, &launch_->body) : thread.fiber.resume();
  running_machine = nullptr;
  if (thread.state == State::failed && crash_.signal) stop(crashed());
  if (!ended) return;
  thread.state = State::ended;
  ++ended_;
  stalled_ = 0;
  if (launch_->trace) launch_->trace->end_thread(thread.linear);
}

void Machine::end_slice(uintptr_t pc) {
  Thread& self = *current_;
  self.steps += slice_;
  hooks::budget = static_cast<int64_t>(slice_);
  // Threads of a launch that is watched take turns at first: what one did is kept until its whole warp
  // has done it. That cannot go on for ever, or a long kernel of many threads would look endless.
  const uint64_t limit = launch_->options.step_limit, in_turns = launch_->trace ? limit / 2 : 0;
  const uint64_t since = ++stalled_ * slice_;
  if (since > in_turns + limit) {
    const Location at = location_of(pc);
    Finding out = finding(Kind::endless, self,
                          str(name_of(Kind::endless), ": ", limit, " steps, the last at ", text(at),
                              ", and no thread of the block ended or came to a barrier. A loop's "
                              "condition may never become false; if the kernel really takes so "
                              "long, raise step_limit"));
    out.at = at;
    fail(std::move(out));
  }
  // Perhaps it waits in a loop for what another thread of the block will write.
  if (since <= in_turns || self.steps % kTurn == 0) self.fiber.suspend();
}

void Machine::fence() {
  if (launch_->trace) launch_->trace->fence(current_->linear);
}

// This stack is left behind, with whatever still lies on it: so the text moves away.
void Machine::fail(Finding what) {
  current_->state = State::failed;
  stop(std::move(what));
  current_->fiber.suspend();
  std::abort();  // it is never resumed
}

void Machine::fail(Kind kind, const Place& place, const std::string& what) {
  Finding out = finding(kind, *current_, what);
  out.at = location_of(place);
  fail(std::move(out));
}

void Machine::stop(Finding what) {
  const std::lock_guard lock(launch_->mutex);
  if (!launch_->stopped.exchange(true)) launch_->fault = std::move(what);
}

Finding Machine::finding(Kind kind, const Thread& thread, const std::string& what) const {
  return {.kind = kind,
          .kernel = launch_->kernel,
          .at = {},
          .other = {},
          .block = block_,
          .thread = thread.index,
          .text = str(what, "\n  in ", launch_->kernel, ", block (", block_.x, ", ", block_.y, ", ",
                      block_.z, "), thread (", thread.index.x, ", ", thread.index.y, ", ",
                      thread.index.z, "); launched at ", shown_path(launch_->site.file), ":",
                      launch_->site.line)};
}

uint64_t Machine::steps() const {
  return current_->steps + slice_ - static_cast<uint64_t>(hooks::budget);
}

uint32_t Machine::live_lanes() const {
  const unsigned first = current_->linear / 32 * 32;
  uint32_t live = 0;
  for (unsigned lane = 0; lane < 32 && first + lane < launch_->threads; ++lane) {
    live |= uint32_t{threads_[first + lane]->state != State::ended} << lane;
  }
  return live;
}

}  // namespace needle::sim
