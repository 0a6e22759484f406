// Threads and scratch memory for the cpu kernels. The only place that knows oneTBB.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>

namespace needle {

using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
/// Cuts [0, n) into one piece per thread, none smaller than `grain`, and runs body on each piece.
/// Inside a running piece it does not cut again.
void run_parallel(int64_t n, int64_t grain, RangeBody body, void* context);

/// body(begin, end) over pieces of [0, n).
template <class Body>
[[gnu::always_inline]] inline void parallel_for(int64_t n, int64_t grain, Body&& body) {
  run_parallel(
      n, grain, [](void* f, int64_t begin, int64_t end) { (*static_cast<Body*>(f))(begin, end); },
      &body);
}

/// How many pieces run_parallel can make now: 1 inside a running piece.
int64_t max_pieces();

/// At least `bytes` of 64-byte aligned memory of this thread; number `which` (0 to 5) of several, and
/// inside a piece another than outside.
/// It stays until the thread ends: kernels in a loop allocate nothing. Contents are undefined.
void* scratch(int which, size_t bytes);

}  // namespace needle
