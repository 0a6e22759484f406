// The gradient of softmax: kernel.  (Lessons 04 and 05)
//
// The limit is reading y and dy once and writing dx once.
#pragma once

#include "cuda/kernels/rows.cuh"

namespace needle::NEEDLE_GPU {

/// Operands: y, dy, dx. Of blocks that share rows two fit on a multiprocessor: while one waits for those
/// of its cluster, the other works.
template <class T, class S, bool log, class Sharing>
__global__ void __launch_bounds__(kRowThreads,
                                  std::is_same_v<Sharing, RowOfBlock> || sizeof(T) > 4 ? 1 : 2)
    softmax_backward_kernel(const Rows<3> rows, bool keeps) {
  if (row_index() >= rows.count()) return;
  const Row<3> row(rows, row_index());
  const T* y_row = row.template data<T>(0);
  Sharing sharing;
  NEEDLE_DYNAMIC_SHARED(T, shared);
  const Kept<T> kept{keeps ? shared : nullptr, y_row, rows.step[0]};
  Chunk<T, S> y, dy;
  const int first = sharing.rank() * y.length();
  const int end = S::kAgain ? rows.n : first + 1;
  const auto load_dy = [&](int begin) {
    dy.load(row.template data<T>(1), rows.step[1], begin, rows.n, 0);
  };
  T sum = 0;
  for (int begin = first; begin < end; begin += y.length()) {
    y.load(y_row, rows.step[0], begin, rows.n, 0);
    load_dy(begin);
    if (S::kAgain) kept.put(y, begin, rows.n);
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) sum += log ? dy.at[i] : dy.at[i] * y.at[i];
  }
  sharing.begin();
  sum = sharing.across_row(sum, T(0), Plus{});
  for (int begin = first; begin < end; begin += y.length()) {
    if (S::kAgain) load_dy(begin), kept.get(y, begin, rows.n);
    y.store(row.template data<T>(2), rows.step[2], begin, rows.n, [&](int i, int) {
      return log ? dy.at[i] - std::exp(y.at[i]) * sum : y.at[i] * (dy.at[i] - sum);
    });
  }
}

}  // namespace needle::NEEDLE_GPU
