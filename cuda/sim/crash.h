// Kernels that the processor stops.  (Lesson 04)
#pragma once

namespace needle::sim {

/// From now on a fault of this thread inside of a kernel ends the launch, not the program. Others go to
/// whoever handled them before.
void catch_crashes();

}  // namespace needle::sim
