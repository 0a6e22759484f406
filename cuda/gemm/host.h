// What the host functions of the matrix products share.  (Lesson 04)
#pragma once

#include "cuda/device.h"
#include "cuda/gemm/problem.h"

namespace needle::NEEDLE_GPU {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace needle::NEEDLE_GPU
