// Softmax, cross entropy, and their backward kernels.  (Lessons 04 and 05)
//
// The limit of each is reading its inputs and writing its outputs once.
#include "cuda/kernels/clusters.h"
#include "cuda/kernels/slots.h"
#include "cuda/kernels/softmax_backward.cuh"

namespace needle::NEEDLE_GPU {
namespace {

constexpr int64_t kIgnored = -100;  // the label of a row that has no loss

/// Operands: x, out.
template <class T, class S, bool log>
__global__ void __launch_bounds__(S::kAgain ? kKeptThreads : kRowThreads, 1)
    softmax_kernel(const Rows<2> rows, bool keeps) {
  if (row_index() >= rows.count()) return;
  const Row<2> row(rows, row_index());
  const T* x = row.template data<T>(0);
  NEEDLE_DYNAMIC_SHARED(T, shared);
  [[maybe_unused]] const Kept<T> kept{keeps ? shared : nullptr, x, rows.step[0]};
  // BEGIN SOLUTION hw2.softmax_kernel
  Chunk<T, S> chunk;
  LogSum<T> lse;
  const auto shift = [&] {  // what is left to do is to scale it, or to take off a logarithm
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      chunk.at[i] = log ? chunk.at[i] - lse.top : std::exp(chunk.at[i] - lse.top);
    }
  };
  if (S::kAgain) {
    for (int begin = 0; begin < rows.n; begin += chunk.length()) {
      chunk.load(x, rows.step[0], begin, rows.n, -INFINITY);
      kept.put(chunk, begin, rows.n);
      lse.add(chunk);
    }
    lse.join_row();
  } else {
    chunk.load(x, rows.step[0], 0, rows.n, -INFINITY);
    lse.of_row(chunk);
    shift();
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) lse.sum += log ? std::exp(chunk.at[i]) : chunk.at[i];
    lse.sum = across_row(lse.sum, T(0), Plus{});
  }
  const T last = log ? std::log(lse.sum) : 1 / lse.sum;
  for (int begin = 0; begin < (S::kAgain ? rows.n : 1); begin += chunk.length()) {
    if (S::kAgain) {
      kept.get(chunk, begin, rows.n);
      shift();
    }
    chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n,
                [&](int i, int) { return log ? chunk.at[i] - last : chunk.at[i] * last; });
  }
  // END SOLUTION
}

/// Operands: logits; labels, loss, lse, one for each row. Reads every logit once.
template <class T, class S, class Sharing>
__global__ void __launch_bounds__(kRowThreads, 2) cross_entropy_kernel(const Rows<4> rows) {
  if (row_index() - Sharing::rows_before() >= rows.count()) return;
  const Row<4> row(rows, row_index());
  const T* x = row.template data<T>(0);
  const bool writes = threadIdx.x == 0 && row.n > 0;
  const int64_t label = *row.template data<int64_t>(1);
  const bool ignored = label == kIgnored;
  // The label's logit is a second wait, after the label: for others to be on their way before.
  T chosen = 0;
  const auto load_chosen = [&] {
    if (writes && !ignored) chosen = x[label * rows.step[0]];
  };
  Chunk<T, S> chunk;
  LogSum<T> lse;
  if (S::kAgain) {
    for (int begin = 0; begin < rows.n; begin += chunk.length()) {
      chunk.load(x, rows.step[0], begin, rows.n, -INFINITY);
      lse.add(chunk);
    }
    load_chosen();
    lse.join_row();
  } else {
    chunk.load(x, rows.step[0], 0, row.n, -INFINITY);
    load_chosen();
    lse.of_row(chunk, Sharing{});
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) lse.sum += exp_below(chunk.at[i], lse.top);
    lse.sum = Sharing{}.across_row(lse.sum, T(0), Plus{});
  }
  if (!writes) return;
  const T value = lse.top + std::log(lse.sum);
  *row.template data<T>(2) = ignored ? T(0) : value - chosen;
  *row.template data<T>(3) = value;
}

/// Operands: logits, dlogits; labels, lse, dloss, one for each row. The threads of a row need nothing
/// of each other: the grid's second axis is along the row.
template <class T, class S>
__global__ void cross_entropy_backward_kernel(const Rows<5> rows) {
  if (row_index() >= rows.count()) return;
  const Row<5> row(rows, row_index());
  Chunk<T, S> chunk;
  const int begin = static_cast<int>(blockIdx.y) * chunk.length();
  chunk.load(row.template data<T>(0), rows.step[0], begin, rows.n, 0);
  const int64_t label = *row.template data<int64_t>(2);
  const bool ignored = label == kIgnored;
  const T lse = *row.template data<T>(3);
  const T scale = *row.template data<T>(4);
  chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n, [&](int i, int j) {
    const T slope = std::exp(chunk.at[i] - lse) - (j == label ? 1 : 0);
    return ignored ? T(0) : scale * slope;
  });
}

}  // namespace

void softmax(bool log, const View& x, const View& out) {
  if (x.size() == 0) return;
  const Rows<2> rows = rows_of(x, out);
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 1>;
    RowLaunch launch(rows.count(), rows.n, most, sizeof(T), rows.fit(sizeof(T)));
    launch.keep(sizeof(T), kKeptThreads);
    visit_share<T, most, true>(launch, [&]<class S>(S) {
      if (log) {
        NEEDLE_LAUNCH((softmax_kernel<T, S, true>), launch.grid, launch.block, launch.kept, rows,
                      launch.kept > 0);
      } else {
        NEEDLE_LAUNCH((softmax_kernel<T, S, false>), launch.grid, launch.block, launch.kept, rows,
                      launch.kept > 0);
      }
    });
  });
}

void softmax_backward(bool log, const View& y, const View& dy, const View& dx) {
  if (y.size() == 0) return;
  const Rows<3> rows = rows_of(y, dy, dx);
  visit_floating(y.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 2>;
    RowLaunch launch(rows.count(), rows.n, most, sizeof(T), rows.fit(sizeof(T)));
    if (launch.again) launch.share(most_blocks(), kSharedThreads);
    if (launch.is_shared()) {
      const auto softmax_backward_of_clusters =
          clusters::softmax_backward_kernel_for<T>(log, launch.fit);
      NEEDLE_LAUNCH_CLUSTERS((softmax_backward_of_clusters), launch.grid, launch.block, rows,
                             false);
      return;
    }
    launch.keep(sizeof(T), kRowThreads);
    visit_share<T, most, true>(launch, [&]<class S>(S) {
      if (log) {
        NEEDLE_LAUNCH((softmax_backward_kernel<T, S, true, RowOfBlock>), launch.grid, launch.block,
                      launch.kept, rows, launch.kept > 0);
      } else {
        NEEDLE_LAUNCH((softmax_backward_kernel<T, S, false, RowOfBlock>), launch.grid, launch.block,
                      launch.kept, rows, launch.kept > 0);
      }
    });
  });
}

void cross_entropy(const View& logits, const View& labels, const View& loss, const View& lse) {
  if (logits.size() == 0) return;
  const Rows<4> rows = rows_of(logits, labels, loss, lse);
  visit_floating(logits.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 1>;
    RowLaunch launch(rows.count(), rows.n, most, sizeof(T), rows.fit(sizeof(T)));
    launch.narrow(rows.count(), most);
    visit_rows<T, most, true>(launch, [&]<class S, class Sharing>(S, Sharing) {
      NEEDLE_LAUNCH((cross_entropy_kernel<T, S, Sharing>), launch.grid, launch.block, 0, rows);
    });
  });
}

void cross_entropy_backward(const View& logits, const View& labels, const View& lse,
                            const View& dloss, const View& dlogits) {
  if (logits.size() == 0) return;
  const Rows<5> rows = rows_of(logits, dlogits, labels, lse, dloss);
  visit_floating(logits.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 2>;
    RowLaunch launch(rows.count(), rows.n, most, sizeof(T), rows.fit(sizeof(T)));
    launch.again = false;
    launch.narrow(rows.count(), most);
    launch.grid.y =
        static_cast<unsigned>(ceil_div(launch.reach, int64_t{launch.block.x} * launch.items));
    visit_share<T, most, true, false>(launch, [&]<class S>(S) {
      NEEDLE_LAUNCH((cross_entropy_backward_kernel<T, S>), launch.grid, launch.block, 0, rows);
    });
  });
}

}  // namespace needle::NEEDLE_GPU
