// v1: a thread a row, three passes.  (Lesson 04)
//
// The definition: the largest element, the sum of the exponentials, the quotients. The lanes of a
// warp are in 32 rows, so each load is in a sector of its own, as in the first matrix product.
// Counter: 32 sectors a request; with all of them, 16 times the bytes that must move.
// Limit: those sectors; and there are only as many threads as rows.
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder::softmax_v1 {

__global__ void softmax(const Table t) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= t.rows) return;
  const float* x = t.x + row * t.n;
  float largest = -INFINITY, sum = 0;
  for (int j = 0; j < t.n; ++j) largest = std::fmax(largest, x[j]);
  for (int j = 0; j < t.n; ++j) sum += std::exp(x[j] - largest);
  for (int j = 0; j < t.n; ++j) t.y[row * t.n + j] = std::exp(x[j] - largest) / sum;
}

inline void run(bool, const View& x, const View& y) {
  const Table t(x, y);
  if (t.rows == 0) return;
  NEEDLE_LAUNCH((softmax), ceil_div(t.rows, 64), 64, 0, t);
}

}  // namespace needle::NEEDLE_GPU::ladder::softmax_v1
