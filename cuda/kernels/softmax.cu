// Softmax, cross entropy, and their backward kernels.  (Lessons 04 and 05)
//
// The limit of each is reading its inputs and writing its outputs once.
#include "cuda/kernels/rows.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

constexpr int64_t kIgnored = -100;  // the label of a row that has no loss

/// Operands: x, out.
template <class T, int kItems, bool log>
__global__ void softmax_kernel(const Rows<2> rows) {
  const Row<2> row(rows, int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (!row.exists()) return;
  const T* x = row.template data<T>(0);
  T* out = row.template data<T>(1);
  const int64_t length = int64_t{blockDim.x} * kItems;
  Chunk<T, kItems> chunk;
  LogSum<T> lse;
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    chunk.load(x, rows.step[0], begin, rows.n, -INFINITY);
    lse.add(chunk);
  }
  lse.join_row();
  const T shift = log ? std::log(lse.sum) : 1 / lse.sum;
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    if (!rows.is_one_chunk(kItems)) chunk.load(x, rows.step[0], begin, rows.n, 0);
    chunk.store(out, rows.step[1], begin, rows.n, [&](int i, int64_t) {
      const T shifted = chunk.at[i] - lse.top;
      return log ? shifted - shift : std::exp(shifted) * shift;
    });
  }
}

/// Operands: y, dy, dx.
template <class T, int kItems, bool log>
__global__ void softmax_backward_kernel(const Rows<3> rows) {
  const Row<3> row(rows, int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (!row.exists()) return;
  const T* y = row.template data<T>(0);
  const T* dy = row.template data<T>(1);
  const int64_t length = int64_t{blockDim.x} * kItems;
  Chunk<T, kItems> ys, dys;
  T sum = 0;
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    ys.load(y, rows.step[0], begin, rows.n, 0);
    dys.load(dy, rows.step[1], begin, rows.n, 0);
#pragma unroll
    for (int i = 0; i < kItems; ++i) sum += log ? dys.at[i] : dys.at[i] * ys.at[i];
  }
  sum = across_row(sum, T(0), Plus{});
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    if (!rows.is_one_chunk(kItems)) {
      ys.load(y, rows.step[0], begin, rows.n, 0);
      dys.load(dy, rows.step[1], begin, rows.n, 0);
    }
    ys.store(row.template data<T>(2), rows.step[2], begin, rows.n, [&](int i, int64_t) {
      return log ? dys.at[i] - std::exp(ys.at[i]) * sum : ys.at[i] * (dys.at[i] - sum);
    });
  }
}

/// Operands: logits; labels, loss, lse, one for each row.
template <class T, int kItems>
__global__ void cross_entropy_kernel(const Rows<4> rows) {
  const Row<4> row(rows, int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (!row.exists()) return;
  const T* x = row.template data<T>(0);
  Chunk<T, kItems> chunk;
  LogSum<T> lse;
  for (int64_t begin = 0; begin < rows.n; begin += int64_t{blockDim.x} * kItems) {
    chunk.load(x, rows.step[0], begin, rows.n, -INFINITY);
    lse.add(chunk);
  }
  lse.join_row();
  if (threadIdx.x > 0) return;
  const T value = lse.top + std::log(lse.sum);
  const int64_t label = *row.template data<int64_t>(1);
  *row.template data<T>(2) = label == kIgnored ? T(0) : value - x[label * rows.step[0]];
  *row.template data<T>(3) = value;
}

/// Operands: logits, dlogits; labels, lse, dloss, one for each row. The grid's second axis is along
/// the row.
template <class T, int kItems>
__global__ void cross_entropy_backward_kernel(const Rows<5> rows) {
  const Row<5> row(rows, int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (!row.exists()) return;
  const int64_t label = *row.template data<int64_t>(2);
  const T lse = *row.template data<T>(3);
  const T scale = label == kIgnored ? T(0) : *row.template data<T>(4);
  const int64_t begin = int64_t{blockIdx.y} * blockDim.x * kItems;
  Chunk<T, kItems> chunk;
  chunk.load(row.template data<T>(0), rows.step[0], begin, rows.n, 0);
  chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n, [&](int i, int64_t j) {
    if (label == kIgnored) return T(0);
    return scale * (std::exp(chunk.at[i] - lse) - (j == label ? 1 : 0));
  });
}

/// f(Tag<T>{}, items) with both known to the compiler.
template <class F>
void visit_rows(DType t, int items, F f) {
  visit_floating(t, [&](auto tag) { visit_items(items, [&](auto known) { f(tag, known); }); });
}

}  // namespace

void softmax(bool log, const View& x, const View& out) {
  if (x.size() == 0) return;
  const Rows<2> rows = rows_of(x, out);
  const RowLaunch launch(rows.leading.size, rows.n);
  visit_rows(x.dtype, launch.items, [&]<class T, class Items>(Tag<T>, Items) {
    if (log) {
      NEEDLE_LAUNCH((softmax_kernel<T, Items::value, true>), launch.grid, launch.block, 0, rows);
    } else {
      NEEDLE_LAUNCH((softmax_kernel<T, Items::value, false>), launch.grid, launch.block, 0, rows);
    }
  });
}

void softmax_backward(bool log, const View& y, const View& dy, const View& dx) {
  if (y.size() == 0) return;
  const Rows<3> rows = rows_of(y, dy, dx);
  const RowLaunch launch(rows.leading.size, rows.n);
  visit_rows(y.dtype, launch.items, [&]<class T, class Items>(Tag<T>, Items) {
    if (log) {
      NEEDLE_LAUNCH((softmax_backward_kernel<T, Items::value, true>), launch.grid, launch.block, 0,
                    rows);
    } else {
      NEEDLE_LAUNCH((softmax_backward_kernel<T, Items::value, false>), launch.grid, launch.block, 0,
                    rows);
    }
  });
}

void cross_entropy(const View& logits, const View& labels, const View& loss, const View& lse) {
  if (logits.size() == 0) return;
  const Rows<4> rows = rows_of(logits, labels, loss, lse);
  const RowLaunch launch(rows.leading.size, rows.n);
  visit_rows(logits.dtype, launch.items, [&]<class T, class Items>(Tag<T>, Items) {
    NEEDLE_LAUNCH((cross_entropy_kernel<T, Items::value>), launch.grid, launch.block, 0, rows);
  });
}

void cross_entropy_backward(const View& logits, const View& labels, const View& lse,
                            const View& dloss, const View& dlogits) {
  if (logits.size() == 0) return;
  const Rows<5> rows = rows_of(logits, dlogits, labels, lse, dloss);
  // Threads of a row need nothing of each other: long rows go to several blocks.
  RowLaunch launch(rows.leading.size, least(rows.n, 2048));
  launch.grid.y = static_cast<unsigned>(ceil_div(rows.n, int64_t{launch.block.x} * launch.items));
  visit_rows(logits.dtype, launch.items, [&]<class T, class Items>(Tag<T>, Items) {
    NEEDLE_LAUNCH((cross_entropy_backward_kernel<T, Items::value>), launch.grid, launch.block, 0,
                  rows);
  });
}

}  // namespace needle::NEEDLE_GPU
