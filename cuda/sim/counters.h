// What a GPU would have had to do for a kernel: sectors, bank conflicts, branches.  (Lesson 04)
//
// A request is one instruction of one warp. Here the lanes of a warp run one after another, so their
// accesses are put together afterwards: the k-th of each lane at one place, since the last barrier.
// That is exact where the lanes take the same way, and an approximation in loops that they leave at
// different times. What some lanes of a warp have yet to do waits for them, within limits: a loop may
// never end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/sim/hooks.h"

namespace needle::sim {

using hooks::Access;

/// A place in the program, and which memory it used there.
struct AccessPlace {
  uintptr_t pc;
  Access kind;
  bool is_shared;

  auto operator<=>(const AccessPlace&) const = default;
};

/// Of global memory a unit is a sector of 32 bytes; of shared memory a wavefront: one pass through
/// the 32 banks, of 4 bytes each.
struct AccessCount {
  int64_t requests = 0;
  int64_t lanes = 0;  // accesses of threads
  int64_t bytes = 0;  // that the threads asked for
  int64_t units = 0;
  int64_t ideal = 0;  // the units if the same bytes lay as well as they could

  AccessCount& operator+=(const AccessCount& other);
};

/// Of a basic block, which is named by the address of the call at its beginning.
struct BlockCount {
  int64_t warps = 0;      // how often a warp ran it
  int64_t lanes = 0;      // how often a thread did
  int64_t branches = 0;   // of `warps`, if it ends in a branch that went two ways
  int64_t divergent = 0;  // of these, how often the lanes of the warp parted

  BlockCount& operator+=(const BlockCount& other);
};

/// Sectors of 32 bytes that are touched. `lanes`: which of the 32 addresses count.
int64_t sectors(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes);
/// ⌈distinct bytes / 32⌉.
int64_t ideal_sectors(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes);
/// Passes through the banks: accesses of 8 bytes take two halves of the warp, of 16 four quarters.
int64_t wavefronts(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes);
int64_t ideal_wavefronts(uint32_t lanes, size_t bytes);

class Counters {
 public:
  void begin_block(unsigned threads);
  void access(unsigned thread, const AccessPlace& place, uintptr_t at, size_t bytes);
  void step(unsigned thread, uintptr_t pc);
  /// A thread has ended; nothing more is expected of it in the next interval.
  void end_thread(unsigned thread);
  void end_interval();
  void end_block();

  std::map<AccessPlace, AccessCount> accesses() const;
  std::map<uintptr_t, BlockCount> blocks() const;
  int64_t barriers = 0;  // of blocks

 private:
  struct Request {
    uint32_t lanes = 0;
    uint8_t bytes = 0;
    std::array<uintptr_t, 32> at;
  };
  /// One run of a basic block by a warp: where its lanes went afterwards.
  struct Run {
    uint32_t lanes = 0, left = 0;  // left: of these, which went on
    uintptr_t next = 0;
    bool parted = false;
  };
  /// The k-th entries of the lanes of one warp at one place.
  template <class Entry>
  struct Stream {
    std::array<uint32_t, 32> counts = {};
    uint32_t base = 0;  // how many entries are gone
    uint32_t done = 0;  // of `open`, from the front
    std::vector<Entry> open;

    /// The lane's next entry.
    Entry& next(unsigned lane);
    /// The one that was next() when the lane's count became `count`; null if it is done.
    Entry* find(uint32_t count);
    /// Counts the first ones that are complete, and older ones than the kMostOpen newest as they are.
    template <class Complete, class Count>
    void close(Complete is_complete, Count count);
  };
  struct Warp {
    uint32_t live = 0, ended = 0;           // lanes that took part in this interval; ended in it
    std::vector<Stream<Request>> requests;  // by place
    std::vector<Stream<Run>> runs;
    struct {
      uint32_t block = ~0u, count = 0;
    } current[32];  // the run in which each lane is

    /// Whether no others than these lanes can still come.
    bool is_complete(uint32_t lanes) const { return (live & ~(lanes | ended)) == 0; }
  };
  static constexpr size_t kMostOpen = 1 << 14;
  struct BasicBlock {
    uintptr_t pc;
    uintptr_t next = 0;
    bool is_branch = false;
    int64_t runs_before = 0;  // until it went a second way
    BlockCount count;
  };

  uint32_t place_number(const AccessPlace& place);
  uint32_t block_number(uintptr_t pc);
  void add(uint32_t place, const Request& request);
  void add(uint32_t block, const Run& run);

  std::vector<Warp> warps_;
  std::vector<std::pair<AccessPlace, AccessCount>> places_;
  std::unordered_map<uintptr_t, uint32_t> place_numbers_, block_numbers_;
  std::vector<BasicBlock> blocks_;
  struct Recent {
    uintptr_t key;
    uint32_t number;
  };
  std::array<Recent, 1024> recent_places_ = {}, recent_blocks_ = {};
};

}  // namespace needle::sim
