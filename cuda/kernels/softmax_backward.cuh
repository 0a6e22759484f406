// The gradient of softmax: kernel.  (Lessons 04 and 05)
//
// The limit is reading y and dy once and writing dx once.
#pragma once

#include "cuda/kernels/rows.cuh"

namespace needle::NEEDLE_GPU {

/// Threads of a block that shares rows with others, at most: two such blocks fit on a multiprocessor, and
/// while one waits for those of its cluster, the other works.
inline constexpr int kSharedThreads = 448;

/// Operands: y, dy, dx.
template <class T, class S, bool log, class Sharing>
__global__ void __launch_bounds__(std::is_same_v<Sharing, RowOfBlock> ? kRowThreads
                                                                      : kSharedThreads,
                                  std::is_same_v<Sharing, RowOfBlock> || sizeof(T) > 4 ? 1 : 2)
    softmax_backward_kernel(const Rows<3> rows, bool keeps) {
  if (row_index() >= rows.count()) return;
  const Row<3> row(rows, row_index());
  const T *y_row = row.template data<T>(0), *dy_row = row.template data<T>(1);
  Sharing sharing;
  NEEDLE_DYNAMIC_SHARED(T, shared);
  [[maybe_unused]] const Kept<T> kept{keeps ? shared : nullptr, y_row, rows.step[0]};
  Chunk<T, S> y, dy;
  T sum = 0;
  const auto load_and_add = [&](int begin) {
    y.load_packs(y_row, rows.step[0], begin, rows.n, 0);
    dy.load_packs(dy_row, rows.step[1], begin, rows.n, 0);
    y.load_ends(y_row, begin, rows.n);
    dy.load_ends(dy_row, begin, rows.n);
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) sum += log ? dy.at[i] : dy.at[i] * y.at[i];
  };
  const auto store = [&](int begin) {
    y.store(row.template data<T>(2), rows.step[2], begin, rows.n, [&](int i, int) {
      return log ? dy.at[i] - std::exp(y.at[i]) * sum : y.at[i] * (dy.at[i] - sum);
    });
  };
  if constexpr (S::kAgain) {
    for (int begin = 0; begin < rows.n; begin += y.length()) {
      load_and_add(begin);
      kept.put(y, begin, rows.n);
    }
    sum = across_row(sum, T(0), Plus{});
    for (int begin = 0; begin < rows.n; begin += y.length()) {
      dy.load(dy_row, rows.step[1], begin, rows.n, 0);
      kept.get(y, begin, rows.n);
      store(begin);
    }
  } else {
    const int begin = sharing.rank() * y.length();
    load_and_add(begin);
    sharing.begin();
    sum = sharing.across_row(sum, T(0), Plus{});
    store(begin);
  }
}

}  // namespace needle::NEEDLE_GPU
