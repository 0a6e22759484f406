// What each instruction set offers to measure the machine with.  (Lesson 04)
#pragma once

#include <cstdint>

namespace needle {

/// The results are of no interest; they keep the compiler from leaving the loops out.
struct Probes {
  double (*multiply_adds32)(int64_t rounds);
  double (*multiply_adds64)(int64_t rounds);
  int64_t flops32, flops64;  // in one round
  double (*read)(const float* x, int64_t n);
};

}  // namespace needle
