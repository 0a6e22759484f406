// Watches one launch: every access of every thread comes by here.  (Lesson 04)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "cuda/sim/counters.h"
#include "cuda/sim/finding.h"
#include "cuda/sim/hooks.h"
#include "cuda/sim/machine.h"
#include "cuda/sim/memory.h"
#include "cuda/sim/symbols.h"

namespace needle::sim {

/// "byte 12 of tile (400 bytes)" or "12 bytes behind the end of …".
std::string place_in(const Region& region, uintptr_t at);

class Trace {
 public:
  explicit Trace(const Launch& launch);

  // --- what happens ---
  void begin_block(Machine& machine, int64_t number);
  void access(Machine& machine, uintptr_t at, size_t bytes, Access kind, uintptr_t pc);
  void step(unsigned thread, uintptr_t pc);
  void fence(unsigned thread);
  void warp_operation(unsigned warp, uint32_t mask, const Place& place);
  void barrier(const Place& place);
  void end_thread(unsigned thread);
  void end_block();

  /// What was found, one for each pair of lines.
  std::vector<Finding> findings() const;
  /// Of barriers and of operations of warps, by line.
  using PlaceCounts = std::map<std::pair<std::string, int>, int64_t>;
  const Counters& counters() const { return counters_; }
  const PlaceCounts& barriers() const { return barriers_; }
  const PlaceCounts& warp_operations() const { return warp_operations_; }

 private:
  /// A place in the program that accesses memory.
  struct Site {
    uintptr_t pc;
    Access kind;
    Region* region = nullptr;  // the last one
  };
  /// Where a thread of the launch was.
  struct Who {
    int64_t block;
    unsigned thread;
    uint32_t site;
  };
  struct Found {
    Who self, other;
    std::string where;  // the memory, in words
    int64_t count = 0;
  };
  /// The clock when a thread (or a block) last passed a fence; the last fence that an atomic operation
  /// followed; the last atomic operation.
  struct Sync {
    uint32_t fenced = 0, released = 0, acquired = 0;
  };
  struct Warp {
    uint32_t operations = 0, full = 0;  // how many, and which the whole warp last took part in
    std::vector<uint32_t> pairs;        // the last that both lanes took part in; empty: none
  };

  // --- trace.cc: where accesses go ---
  void begin_interval();
  uint32_t site_of(uintptr_t pc, Access kind);
  /// Also if the address lies in a red zone; null if kernels may not touch it at all.
  Region* region_at(uintptr_t at);
  Region* static_region(uintptr_t at);
  [[noreturn]] void stop_stray(Machine& machine, const Who& self, uintptr_t at);
  [[noreturn]] void stop_misaligned(Machine& machine, const Who& self, uintptr_t at, size_t bytes,
                                    const Region& region);
  void note(Kind kind, const Who& self, const Who& other, std::string where);

  // --- race.cc ---
  void published(unsigned thread);
  void check(Region& region, uintptr_t at, size_t bytes, const Who& self, Access kind);
  void add_read(Cell& cell, const Touch& now);
  void judge_early_reads();
  void compare(const Touch& before, const Touch& now, const Region& region, uintptr_t at);
  bool is_ordered(const Touch& before, const Touch& now) const;
  bool is_atomic(uint32_t site) const { return sites_[site].kind == Access::atomic; }
  Who who(const Touch& touch) const { return {block_of(touch.interval), touch.thread, touch.site}; }
  int64_t block_of(uint32_t interval) const { return blocks_[interval - first_interval_]; }

  // --- describe.cc ---
  Finding finding(Kind kind, const Found& found) const;
  std::string thread_text(const Who& who) const;
  uint3 block_index(int64_t number) const;

  const Launch& launch_;
  const bool checks_, counts_;
  Statics statics_;
  std::unordered_map<uintptr_t, std::unique_ptr<Region>> static_regions_;
  Region dynamic_ = {};
  std::vector<Site> sites_;
  std::unordered_map<uintptr_t, uint32_t> site_numbers_;
  struct {
    uintptr_t pc;
    uint32_t site;
  } recent_[1024] = {};

  uint32_t first_interval_, interval_ = 0, block_interval_ = 0;
  std::vector<int64_t> blocks_;  // of each interval
  int64_t block_ = 0;
  uint32_t clock_ = 0;
  std::vector<Sync> threads_;      // of the block
  std::vector<Sync> block_syncs_;  // of all blocks so far
  std::vector<Warp> warps_;
  /// Reads of shared memory before it was written. If it is written in the same interval, that is a
  /// race, and reported as such.
  struct EarlyRead {
    Region* region;
    uintptr_t at;
    size_t bytes;
    Who who;
  };
  std::map<std::pair<uint32_t, uintptr_t>, EarlyRead> early_reads_;  // of this interval; site, at
  std::map<std::tuple<Kind, uint32_t, uint32_t>, Found> found_;
  Counters counters_;
  PlaceCounts barriers_, warp_operations_;
};

}  // namespace needle::sim
