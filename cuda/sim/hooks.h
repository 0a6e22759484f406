// What the simulator learns from the code that g++ instruments.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>

namespace needle::sim {
class Trace;
}

namespace needle::sim::hooks {

/// Steps (basic blocks) that the running thread may take before Machine::end_slice is called.
extern constinit thread_local int64_t budget;

enum class Access : uint8_t { read, write, atomic };

/// What watches the launch that is traced, or null.
extern Trace* trace;

/// An atomic operation is about to take place.
void atomic(const void* at, size_t bytes, const void* caller);

}  // namespace needle::sim::hooks
