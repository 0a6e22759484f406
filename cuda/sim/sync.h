// What the device headers ask of the machine that runs them.  (Lesson 04)
#pragma once

#include <cstdint>
#include <source_location>

namespace needle::sim {

/// Where a call is written; a default argument fills it in.
using Place = std::source_location;

enum class BarrierVote : uint8_t { none, count, all, any, cluster };
/// Waits until every thread of the block is at this place (`cluster`: and all blocks of the cluster at
/// one); what the votes of all give together.
int barrier(BarrierVote vote, bool mine, Place place);

/// Tells the checks; there is nothing else to do.
void fence();
void* dynamic_shared();
/// Where block `rank` of the cluster has what this one has at `shared`.
void* of_block(void* shared, unsigned rank, Place place);
/// How many steps (basic blocks) this thread has taken.
long long clock();
[[noreturn]] void trap(Place place);
/// Stops a kernel in which a homework region is not written yet.
[[noreturn]] void unwritten(const char* region, Place place);

}  // namespace needle::sim
