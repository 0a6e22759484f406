// Data races, and shared memory that is read before it is written.  (Lesson 04)
//
// Two threads of a block race if both touch a byte in one interval, one of them writes, and not both
// are atomic. Within a warp, operations of the warp order them as well. Threads of different blocks
// race if that happens anywhere in the launch. What a thread wrote before __threadfence() and an
// atomic operation, it handed over to those that perform an atomic operation after that.
#include "cuda/sim/trace.h"
#include "needle/array/error.h"

namespace needle::sim {

void Trace::warp_operation(unsigned warp, uint32_t mask, const Place& place) {
  ++warp_operations_[{shown_path(place.file_name()), static_cast<int>(place.line())}];
  Warp& lanes = warps_[warp];
  const uint32_t number = ++lanes.operations;
  if (mask == 0xffffffff) {
    lanes.full = number;
    return;
  }
  if (lanes.pairs.empty()) lanes.pairs.resize(32 * 32);
  for (int a = 0; a < 32; ++a) {
    if ((mask >> a & 1) == 0) continue;
    for (int b = 0; b < 32; ++b) {
      if (mask >> b & 1) lanes.pairs[a * 32 + b] = number;
    }
  }
}

void Trace::fence(unsigned thread) {
  threads_[thread].fenced = block_syncs_[block_].fenced = ++clock_;
}

void Trace::published(unsigned thread) {
  ++clock_;
  Sync &self = threads_[thread], &block = block_syncs_[block_];
  self.acquired = block.acquired = clock_;
  self.released = self.fenced;
  block.released = block.fenced;
}

void Trace::check(Region& region, uintptr_t at, size_t bytes, const Who& self, Access kind) {
  const Touch now = {interval_, self.site, clock_, warps_[self.thread / 32].operations,
                     static_cast<uint16_t>(self.thread)};
  const size_t offset = at - region.begin;
  const auto cells = region.shadow.at(offset, bytes, region.end - region.begin);
  bool is_early = false;
  for (Cell* cell = cells.first; cell != cells.last; ++cell) {
    if (region.space == Region::shared && kind != Access::write &&
        cell->write.interval < block_interval_) {
      is_early = true;
    }
    if (cell->write.interval >= first_interval_) compare(cell->write, now, region, at);
    if (kind == Access::read) {
      add_read(*cell, now);
      continue;
    }
    for (const Touch* read : {&cell->read, &cell->other_read, &cell->past_read}) {
      if (read->interval >= first_interval_) compare(*read, now, region, at);
    }
    cell->write = now;
  }
  if (is_early) early_reads_.try_emplace({self.site, at}, &region, at, bytes, self);
}

void Trace::judge_early_reads() {
  for (const auto& [_, read] : early_reads_) {
    const size_t size = read.region->end - read.region->begin;
    const auto cells = read.region->shadow.at(read.at - read.region->begin, read.bytes, size);
    bool is_written = false;
    for (const Cell* cell = cells.first; cell != cells.last; ++cell) {
      // What an atomic operation wrote, it wrote over what was there before.
      is_written |= cell->write.interval == interval_ && !is_atomic(cell->write.site);
    }
    if (!is_written) {
      note(Kind::uninitialised, read.who, read.who, place_in(*read.region, read.at));
    }
  }
  early_reads_.clear();
}

void Trace::add_read(Cell& cell, const Touch& now) {
  if (cell.read.interval == now.interval) {
    if (cell.read.thread != now.thread) cell.other_read = cell.read;
  } else if (cell.read.interval >= first_interval_ && block_of(cell.read.interval) != block_) {
    cell.past_read = cell.read;
  }
  cell.read = now;
}

void Trace::compare(const Touch& before, const Touch& now, const Region& region, uintptr_t at) {
  if (is_atomic(before.site) && is_atomic(now.site)) return;
  if (before.interval == now.interval) {
    if (before.thread == now.thread || is_ordered(before, now)) return;
    note(Kind::race, who(now), who(before), place_in(region, at));
  } else if (region.space == Region::global && block_of(before.interval) != block_) {
    const Sync &past = block_syncs_[block_of(before.interval)], &present = block_syncs_[block_];
    if (past.released > before.clock && present.acquired > before.clock) return;
    note(Kind::race_between_blocks, who(now), who(before), place_in(region, at));
  }
}

bool Trace::is_ordered(const Touch& before, const Touch& now) const {
  const unsigned warp = now.thread / 32;
  if (before.thread / 32u == warp) {
    const Warp& lanes = warps_[warp];
    if (lanes.full > before.sync) return true;
    if (!lanes.pairs.empty() &&
        lanes.pairs[before.thread % 32 * 32 + now.thread % 32] > before.sync) {
      return true;
    }
  }
  return threads_[before.thread].released > before.clock &&
         threads_[now.thread].acquired > before.clock;
}

}  // namespace needle::sim
