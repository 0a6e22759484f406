// What the simulator finds wrong with a kernel or a program.  (Lesson 04)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/sim/vector_types.h"

namespace needle::sim {

enum class Kind : uint8_t {
  race,  // two threads of a block, one writes, no barrier between
  race_between_blocks,
  out_of_bounds,
  misaligned,
  uninitialised,  // shared memory read before any thread of the block wrote it
  freed,
  barrier_divergence,
  early_exit,  // a barrier that waits for threads that ended
  deadlock,    // a warp operation that waits for lanes that never come
  wrong_mask,  // or width, of a warp operation
  endless,
  crash,             // what the processor refused, while not tracing
  unchecked_launch,  // an invalid launch whose error nobody looked at
  leak,
};
/// "race", "race between blocks", …
const char* name_of(Kind kind);

/// A line of the source. `line` is 0 if it is not known.
struct Location {
  std::string file;
  int line = 0;

  bool operator==(const Location&) const = default;
};

struct Finding {
  Kind kind;
  std::string kernel;
  Location at;     // where the thread was
  Location other;  // of a race, where the other one was
  uint3 block = {}, thread = {};
  std::string text;   // what is wrong, where, and what would be right
  int64_t count = 1;  // how often, at these places
};

/// Those since the program began or the last clear_findings(), in the order in which they were made.
/// What is found again, at the same lines, is counted there. At most 1000 are kept.
std::vector<Finding> findings();
void clear_findings();
void add_finding(const Finding& finding);

}  // namespace needle::sim
