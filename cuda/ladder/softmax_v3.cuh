// v3: the largest element and the sum in one pass.  (Lesson 04)
//
// When a larger element comes, what was added up so far is scaled to it: Milakov & Gimelshein,
// arXiv 1805.02867. The lanes' pairs (largest, sum) are joined by the same rule.
// Counter: bytes fall from four times the row to three.
// Limit: x is still read twice; and an element takes three exponentials, one of them to scale. On an
// H200 that is slower than v2 with two of them, whose third reading comes from a cache.
#pragma once

#include "cuda/ladder/warp_row.cuh"

namespace needle::NEEDLE_GPU::ladder::softmax_v3 {

__global__ void softmax(const Table t) {
  const WarpRow at;
  if (at.row >= t.rows) return;
  const float* x = t.x + at.row * t.n;
  float largest = kBelowAll, sum = 0;
  for (int j = at.lane; j < t.n; j += 32) {
    const float value = x[j];
    const float larger = std::fmax(largest, value);
    sum = sum * std::exp(largest - larger) + std::exp(value - larger);
    largest = larger;
  }
  const float of_row = largest_of_warp(largest);
  sum = sum_of_warp(sum * std::exp(largest - of_row));
  for (int j = at.lane; j < t.n; j += 32) t.y[at.row * t.n + j] = std::exp(x[j] - of_row) / sum;
}

inline void run(bool, const View& x, const View& y) {
  const Table t(x, y);
  if (t.rows == 0) return;
  NEEDLE_LAUNCH((softmax), WarpRow::grid(t), WarpRow::block(), 0, t);
}

}  // namespace needle::NEEDLE_GPU::ladder::softmax_v3
