// Loops of the cpu kernels on several threads.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/threads.h"

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

}  // namespace needle
