// Runs the threads of a block in turns.  (Lesson 04)
#include "cuda/sim/machine.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <random>
#include <utility>

#include "cuda/sim/hooks.h"
#include "needle/array/error.h"

// CUDA's variables; device.h shows them to kernels as constants.
__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace needle::sim {
namespace {

constexpr uint64_t kSlice = 1 << 16;           // steps between two looks at the clock
constexpr uint64_t kTurn = uint64_t{1} << 26;  // steps after which others get a turn

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

bool Machine::run_block(Launch& launch, uint3 block) {
  launch_ = &launch;
  block_ = block;
  prepare();
  do {
    run_ready();
  } while (!launch.stopped && ended_ < launch.threads && release());
  if (ended_ == launch.threads) return true;
  for (unsigned i = 0; i < launch.threads; ++i) {
    if (threads_[i]->state != State::ended) threads_[i]->fiber.abandon();
  }
  return false;
}

void Machine::prepare() {
  const Launch& launch = *launch_;
  const unsigned count = launch.threads;
  while (threads_.size() < count) threads_.push_back(std::make_unique<Thread>());
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = *threads_[i];
    thread.linear = i;
    thread.index = {i % launch.block.x, i / launch.block.x % launch.block.y,
                    i / (launch.block.x * launch.block.y)};
    thread.state = State::ready;
    thread.steps = 0;
    thread.has_begun = false;
  }
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0);
  if (launch.options.order == Order::reversed) std::reverse(order_.begin(), order_.end());
  if (launch.options.order == Order::shuffled) {
    const uint64_t number =
        block_.x + uint64_t{launch.grid.x} * (block_.y + uint64_t{launch.grid.y} * block_.z);
    std::shuffle(order_.begin(), order_.end(), std::mt19937_64(launch.options.seed + number));
  }
  waiting_.assign((count + 31) / 32, 0);
  if (dynamic_size_ < launch.dynamic_shared) {
    dynamic_size_ = (launch.dynamic_shared + 1023) / 1024 * 1024;
    dynamic_shared_ = {static_cast<char*>(std::aligned_alloc(256, dynamic_size_)), std::free};
    if (!dynamic_shared_) throw std::bad_alloc();
  }
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
  hooks::budget = kSlice;
  running_machine = this;
  const bool first = !std::exchange(thread.has_begun, true);
  const bool ended = first ? thread.fiber.start(&run_body, &launch_->body) : thread.fiber.resume();
  running_machine = nullptr;
  if (!ended) return;
  thread.state = State::ended;
  ++ended_;
  stalled_ = 0;
}

void Machine::end_slice() {
  Thread& self = *current_;
  self.steps += kSlice;
  hooks::budget = kSlice;
  if (++stalled_ * kSlice > launch_->options.step_limit) {
    fail(
        str("the kernel seems to be endless: ", launch_->options.step_limit,
            " steps, and no thread of the block ended or came to a barrier. A loop's condition may "
            "never become false; if the kernel really takes so long, raise step_limit"));
  }
  // Perhaps it waits in a loop for what another thread of the block will write.
  if (self.steps % kTurn == 0) self.fiber.suspend();
}

// This stack is left behind, with whatever still lies on it: so the text moves away.
void Machine::fail(std::string what) {
  current_->state = State::failed;
  what += str("\n  ", where(*current_));
  stop(std::move(what));
  current_->fiber.suspend();
  std::abort();  // it is never resumed
}

void Machine::stop(std::string what) {
  const std::lock_guard lock(launch_->mutex);
  if (!launch_->stopped.exchange(true)) launch_->error = std::move(what);
}

uint64_t Machine::steps() const {
  return current_->steps + kSlice - static_cast<uint64_t>(hooks::budget);
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
