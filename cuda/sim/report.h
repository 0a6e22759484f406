// What the simulator counted, by kernel and line.  (Lesson 04)
#pragma once

#include <string>
#include <vector>

#include "cuda/sim/counters.h"
#include "cuda/sim/finding.h"

namespace needle::sim {

class Trace;
struct Launch;

struct LineCounts {
  Location at;
  AccessCount global_reads, global_writes, global_atomics;
  AccessCount shared_reads, shared_writes, shared_atomics;
  BlockCount blocks;  // of the basic blocks that begin on this line
  int64_t barriers = 0, warp_operations = 0;

  LineCounts& operator+=(const LineCounts& other);
};

struct KernelCounts {
  std::string kernel;
  int64_t launches = 0, blocks = 0, threads = 0;
  LineCounts total;               // without a line
  std::vector<LineCounts> lines;  // by file and line
  /// Threads that ran each basic block, by the address of the call at its beginning.
  std::vector<std::pair<uintptr_t, int64_t>> basic_blocks;
};

/// Of all launches that were counted since the program began or the last clear_counts(), in the order
/// of their first launch.
std::vector<KernelCounts> counts();
void clear_counts();
void add_counts(const Launch& launch, const Trace& trace);

/// A table of the counts, and the findings, to read.
std::string report();
/// The same as JSON, for programs.
std::string report_json();

}  // namespace needle::sim
