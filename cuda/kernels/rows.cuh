// Rows: kernels that treat the last axis of their operands as one unit.  (Lessons 04 and 05)
//
// A row is loaded once, in chunks that stay in registers: thread t holds elements t, t + threads, ...
// of a chunk. Neighbouring threads read neighbouring elements, and the loads of a thread do not wait
// for each other. Rows longer than a chunk are read again for each pass over them.
#pragma once

#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"

namespace needle::NEEDLE_GPU {

/// The rows of N operands. One without the last axis (a statistic of each row) has step 0.
template <int N>
struct Rows {
  Walk<N> leading;  // over the axes before the last
  int64_t n;        // elements of a row
  int64_t step[N];  // between them, in elements

  __device__ int64_t count() const { return leading.size; }
  __device__ bool is_one_chunk(int items) const { return n <= int64_t{blockDim.x} * items; }
};

/// Operand 0 has rows; the others have the same rows, or one element each.
template <class... Views>
Rows<sizeof...(Views)> rows_of(const Views&... views) {
  constexpr int N = sizeof...(Views);
  const View* const operands[N] = {&views...};
  const View& first = *operands[0];
  const int last = first.ndim() - 1;
  View leading[N];
  const View* pointers[N];
  Rows<N> rows{walk(Order::row_major, views...), first.shape[last], {}};
  for (int k = 0; k < N; ++k) {
    leading[k] = *operands[k];
    if (operands[k]->ndim() == first.ndim()) {
      rows.step[k] = operands[k]->strides[last];
      leading[k].shape[last] = 1;
    }
    pointers[k] = &leading[k];
  }
  rows.leading = Walk<N>(pointers, Order::row_major);
  return rows;
}

/// Which row a thread works on, and where it lies in each operand.
template <int N>
struct Row {
  int64_t index, at[N];
  const Rows<N>* rows;

  __device__ explicit Row(const Rows<N>& all, int64_t row) : index(row), rows(&all) {
    if (row < all.count()) all.leading.locate(row, at);
  }
  __device__ bool exists() const { return index < rows->count(); }
  template <class T>
  __device__ T* data(int operand) const {
    return reinterpret_cast<T*>(rows->leading.data[operand] + at[operand]);
  }
};

/// The part of a row that this thread holds of one chunk.
template <class T, int kItems>
struct Chunk {
  T at[kItems];

  /// Elements begin + threadIdx.x + i * threads of a row of n; beyond its end, `rest`.
  __device__ void load(const T* row, int64_t step, int64_t begin, int64_t n, T rest) {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int64_t j = begin + threadIdx.x + i * int64_t{blockDim.x};
      at[i] = j < n ? row[j * step] : rest;
    }
  }
  /// f(element) at the same places.
  template <class F>
  __device__ void store(T* row, int64_t step, int64_t begin, int64_t n, F f) const {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int64_t j = begin + threadIdx.x + i * int64_t{blockDim.x};
      if (j < n) row[j * step] = f(i, j);
    }
  }
};

/// How rows are shared out: threads for each, rows of a block, items of a thread.
struct RowLaunch {
  dim3 grid, block;
  int items = 1;

  RowLaunch(int64_t rows, int64_t n) {
    constexpr unsigned kMost = 1024;
    unsigned threads = 32;
    while (items < 8 && int64_t{threads} * items < n) items *= 2;
    while (threads < kMost && int64_t{threads} * items < n) threads *= 2;
    block = dim3(threads, threads == 32 ? 8 : 1);
    grid = dim3(static_cast<unsigned>(ceil_div(rows, block.y)));
  }
};

/// f(std::integral_constant<int, items>{}) for 1, 2, 4 or 8 items.
template <class F>
void visit_items(int items, F&& f) {
  switch (items) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 4: return f(std::integral_constant<int, 4>{});
    default: return f(std::integral_constant<int, 8>{});
  }
}

/// The lowest finite number: what a maximum begins with where -inf - -inf must not arise.
template <class T>
inline constexpr T kLowest = sizeof(T) == 8 ? T(-0x1.fffffffffffffp1023) : T(-0x1.fffffep127f);

/// The largest element of a row so far, and the sum of exp(element - largest). In one pass over the
/// row: Milakov & Gimelshein, "Online normalizer calculation for softmax" (arXiv 1805.02867).
template <class T>
struct LogSum {
  T top = kLowest<T>;
  T sum = 0;

  template <int kItems>
  __device__ void add(const Chunk<T, kItems>& x) {  // beyond the row's end: -inf
    T larger = top;
#pragma unroll
    for (int i = 0; i < kItems; ++i) larger = Larger{}(larger, x.at[i]);
    sum *= std::exp(top - larger);
    top = larger;
#pragma unroll
    for (int i = 0; i < kItems; ++i) sum += std::exp(x.at[i] - top);
  }
  /// What the threads of the row found, together.
  __device__ void join_row() {
    const T all = across_row(top, kLowest<T>, Larger{});
    sum = across_row(sum * std::exp(top - all), T(0), Plus{});
    top = all;
  }
};

}  // namespace needle::NEEDLE_GPU
