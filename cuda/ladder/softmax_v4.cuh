// v4: the row stays in registers.  (Lesson 04)
//
// 32 lanes with 32 numbers each hold a row of 1024. All passes but the first are over registers,
// and the exponentials are computed once. The loop must be unrolled: an array is in registers only
// if every index is known to the compiler.
// Counter: x is read once and y written once: the least there is.
// Limit: the bytes; and rows longer than 1024, which go to v3.
#pragma once

#include "cuda/ladder/softmax_v3.cuh"

namespace needle::NEEDLE_GPU::ladder::softmax_v4 {

template <int kItems>
__global__ void softmax(const Table t) {
  const WarpRow at;
  if (at.row >= t.rows) return;
  float held[kItems], largest = kBelowAll, sum = 0;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int j = at.lane + 32 * i;
    held[i] = j < t.n ? t.x[at.row * t.n + j] : -INFINITY;
    largest = std::fmax(largest, held[i]);
  }
  largest = largest_of_warp(largest);
#pragma unroll
  for (int i = 0; i < kItems; ++i) sum += held[i] = std::exp(held[i] - largest);
  const float scale = 1 / sum_of_warp(sum);
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int j = at.lane + 32 * i;
    if (j < t.n) t.y[at.row * t.n + j] = held[i] * scale;
  }
}

inline void run(bool log, const View& x, const View& y) {
  const Table t(x, y);
  if (t.rows == 0) return;
  if (t.n > 1024) return softmax_v3::run(log, x, y);
  if (t.n > 256) {
    NEEDLE_LAUNCH((softmax<32>), WarpRow::grid(t), WarpRow::block(), 0, t);
  } else {
    NEEDLE_LAUNCH((softmax<8>), WarpRow::grid(t), WarpRow::block(), 0, t);
  }
}

}  // namespace needle::NEEDLE_GPU::ladder::softmax_v4
