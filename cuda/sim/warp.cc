// Operations of a warp: lanes meet, one of them computes for all.  (Lesson 04)
#include <bit>

#include "cuda/sim/machine.h"
#include "cuda/sim/symbols.h"
#include "cuda/sim/trace.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

const char* name_of(WarpOp op) {
  switch (op) {
    case WarpOp::sync: return "__syncwarp";
    case WarpOp::shuffle: return "__shfl_sync";
    case WarpOp::shuffle_up: return "__shfl_up_sync";
    case WarpOp::shuffle_down: return "__shfl_down_sync";
    case WarpOp::shuffle_xor: return "__shfl_xor_sync";
    case WarpOp::ballot: return "a vote";
    case WarpOp::match_any:
    case WarpOp::match_all: return "a match";
    default: return "a reduction";
  }
}

/// The lane that a shuffle reads, or its own where that would lie outside of its group.
int source_of(const WarpCall& call, int lane) {
  const int group = lane & -call.width, last = group + call.width - 1;
  switch (call.op) {
    case WarpOp::shuffle: return group + (call.lane & (call.width - 1));
    case WarpOp::shuffle_up: return lane - call.lane >= group ? lane - call.lane : lane;
    case WarpOp::shuffle_down: return lane + call.lane <= last ? lane + call.lane : lane;
    default: return (lane ^ call.lane) <= last ? lane ^ call.lane : lane;
  }
}

uint64_t combine(WarpOp op, uint64_t a, uint64_t b) {
  const auto x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b);
  const auto i = static_cast<int32_t>(x), j = static_cast<int32_t>(y);
  switch (op) {
    case WarpOp::add: return x + y;
    case WarpOp::min_int: return i < j ? x : y;
    case WarpOp::max_int: return i > j ? x : y;
    case WarpOp::min_unsigned: return x < y ? x : y;
    case WarpOp::max_unsigned: return x > y ? x : y;
    case WarpOp::bit_and: return x & y;
    case WarpOp::bit_or: return x | y;
    default: return x ^ y;
  }
}

std::string lanes(uint32_t mask) { return mask ? str("0x", std::hex, mask) : "none"; }

}  // namespace

uint64_t Machine::warp_exchange(const WarpCall& call, Place place) {
  Thread& self = *current_;
  const unsigned warp = self.linear / 32, lane = self.linear % 32;
  self.place = place;
  self.call = call;
  if ((call.mask >> lane & 1) == 0) {
    fail(Kind::wrong_mask, place,
         str(name_of(Kind::wrong_mask), ": lane ", lane, " calls ", name_of(call.op), " at ",
             text(location_of(place)), " with the mask ", lanes(call.mask),
             ", which does not name it. The mask must name every lane that calls"));
  }
  if (call.width < 1 || call.width > 32 || !std::has_single_bit(unsigned(call.width))) {
    fail(Kind::wrong_mask, place,
         str(name_of(Kind::wrong_mask), ": ", name_of(call.op), " at ", text(location_of(place)),
             " with the width ", call.width, ", which is none of 1, 2, 4, 8, 16, 32"));
  }
  self.state = State::at_warp_op;
  waiting_[warp] |= uint32_t{1} << lane;
  if ((waiting_[warp] & call.mask) == call.mask && meet(warp, call.mask, place)) {
    self.state = State::ready;
  } else {
    self.fiber.suspend();
  }
  return self.result;
}

bool Machine::meet(unsigned warp, uint32_t mask, const Place& place) {
  const auto lane = [&](int i) -> Thread& { return *threads_[warp * 32 + i]; };
  const WarpCall& first = lane(std::countr_zero(mask)).call;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const WarpCall& call = lane(std::countr_zero(rest)).call;
    if (call.mask != mask || call.op != first.op) return false;
  }
  uint32_t ballot = 0;
  uint64_t total = first.value;
  bool same = true;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const int i = std::countr_zero(rest);
    const uint64_t value = lane(i).call.value;
    ballot |= uint32_t{value != 0} << i;
    same = same && value == first.value;
    if (rest != mask) total = combine(first.op, total, value);
  }
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const int i = std::countr_zero(rest);
    Thread& thread = lane(i);
    switch (first.op) {
      case WarpOp::sync: break;
      case WarpOp::shuffle:
      case WarpOp::shuffle_up:
      case WarpOp::shuffle_down:
      case WarpOp::shuffle_xor: {
        const int source = source_of(thread.call, i);
        const bool is_there = mask >> source & 1;
        thread.result = is_there ? lane(source).call.value : thread.call.value;
        break;
      }
      case WarpOp::ballot: thread.result = ballot; break;
      case WarpOp::match_all: thread.result = same ? mask : 0; break;
      case WarpOp::match_any: {
        thread.result = 0;
        for (uint32_t others = mask; others; others &= others - 1) {
          const int j = std::countr_zero(others);
          if (lane(j).call.value == thread.call.value) thread.result |= uint64_t{1} << j;
        }
        break;
      }
      default: thread.result = total;
    }
    thread.state = State::ready;
  }
  waiting_[warp] &= ~mask;
  stalled_ = 0;
  if (launch_->trace) launch_->trace->warp_operation(warp, mask, place);
  return true;
}

Finding Machine::missing_lanes(const Thread& waiting, const std::string& all) const {
  const unsigned first = waiting.linear / 32 * 32;
  uint32_t ended = 0, barrier = 0, elsewhere = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    const uint32_t bit = uint32_t{1} << lane;
    if ((waiting.call.mask & bit) == 0) continue;
    if (first + lane >= launch_->threads) {
      ended |= bit;
      continue;
    }
    const Thread& other = *threads_[first + lane];
    if (other.state == State::ended) ended |= bit;
    if (other.state == State::at_barrier) barrier |= bit;
    if (other.state == State::at_warp_op &&
        (other.call.mask != waiting.call.mask || other.call.op != waiting.call.op)) {
      elsewhere |= bit;
    }
  }
  std::string missing;
  if (ended) missing += str(", lanes ", lanes(ended), " ended or do not exist");
  if (barrier) missing += str(", lanes ", lanes(barrier), " wait at a barrier");
  if (elsewhere)
    missing += str(", lanes ", lanes(elsewhere), " wait with another mask or operation");
  Finding out = finding(
      Kind::deadlock, waiting,
      str("deadlock: ", all, ". ", name_of(waiting.call.op), " at ",
          text(location_of(waiting.place)), " waits for the lanes ", lanes(waiting.call.mask),
          missing,
          ". Every lane in the mask must come to the same call with the same mask: let all lanes "
          "call it, or find the mask before the branch with __ballot_sync"));
  out.at = location_of(waiting.place);
  return out;
}

}  // namespace needle::sim
