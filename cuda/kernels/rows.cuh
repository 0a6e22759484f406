// Rows: kernels that treat the last axis of their operands as one unit.  (Lessons 04 and 05)
//
// A row is loaded once, in a chunk that stays in registers: thread t holds elements t, t + threads,
// ... Neighbouring threads read neighbouring elements, and the loads of a thread do not wait for each
// other. Rows of up to 1024 elements have a warp each, longer ones a block, and those too long for the
// registers of a block are read again, chunk by chunk, for each pass over them.
#pragma once

#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"

namespace needle::NEEDLE_GPU {

inline constexpr int kRowThreads = 512;  // of a row, at most

/// The rows of N operands. One without the last axis (a statistic of each row) has step 0.
template <int N>
struct Rows {
  Walk<N> leading;  // over the axes before the last
  int n;            // elements of a row
  int64_t step[N];  // between them, in elements

  __device__ __host__ int64_t count() const { return leading.size; }
};

/// Operand 0 has rows; the others have the same rows, or one element each.
template <class... Views>
Rows<sizeof...(Views)> rows_of(const Views&... views) {
  constexpr int N = sizeof...(Views);
  const View* const operands[N] = {&views...};
  const View& first = *operands[0];
  const int last = first.ndim() - 1;
  if (first.shape[last] >> 30 != 0) {
    throw ValueError(str("rows of ", first.shape[last], " elements; on a GPU less than 2^30"));
  }
  View leading[N];
  const View* pointers[N];
  int64_t step[N] = {};
  for (int k = 0; k < N; ++k) {
    leading[k] = *operands[k];
    if (operands[k]->ndim() == first.ndim()) {
      step[k] = operands[k]->strides[last];
      leading[k].shape[last] = 1;
    }
    pointers[k] = &leading[k];
  }
  Rows<N> rows{Walk<N>(pointers, Order::row_major), static_cast<int>(first.shape[last]), {}};
  for (int k = 0; k < N; ++k) rows.step[k] = step[k];
  return rows;
}

/// Where a row lies in each operand.
template <int N>
struct Row {
  const Rows<N>& rows;
  int64_t at[N];

  __device__ Row(const Rows<N>& rows, int64_t index) : rows(rows) {
    rows.leading.locate(index, at);
  }
  template <class T>
  __device__ T* data(int operand) const {
    return reinterpret_cast<T*>(rows.leading.data[operand] + at[operand]);
  }
};

/// The number of the row that this thread works on.
__device__ inline int64_t row_index() { return int64_t{blockIdx.x} * blockDim.y + threadIdx.y; }

/// What this thread holds of one chunk of a row.
template <class T, int kItems>
struct Chunk {
  T at[kItems];

  /// The place of item i within a row whose chunk begins at `begin`.
  __device__ static int place(int begin, int i) {
    return begin + static_cast<int>(threadIdx.x) + i * static_cast<int>(blockDim.x);
  }
  /// Beyond the row's end: `rest`.
  __device__ void load(const T* row, int64_t step, int begin, int n, T rest) {
    const T* p = row + place(begin, 0) * step;
    const int64_t hop = blockDim.x * step;
#pragma unroll
    for (int i = 0; i < kItems; ++i) at[i] = place(begin, i) < n ? p[i * hop] : rest;
  }
  /// f(item, its place) at the same places.
  template <class F>
  __device__ void store(T* row, int64_t step, int begin, int n, F f) const {
    T* p = row + place(begin, 0) * step;
    const int64_t hop = blockDim.x * step;
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      if (place(begin, i) < n) p[i * hop] = f(i, place(begin, i));
    }
  }
};

/// How rows are shared out: threads for each, rows of a block, items of a thread. A thread holds at
/// most `most` items; `again` says that a row does not fit.
struct RowLaunch {
  dim3 grid, block;
  int items = 1;
  bool again;

  RowLaunch(int64_t rows, int n, int most) {
    unsigned threads = 32;
    while (items < most && 32 * items < n) items *= 2;
    while (threads < kRowThreads && static_cast<int>(threads) * items < n) threads *= 2;
    again = static_cast<int>(threads) * items < n;
    if (again) items = 8;
    block = dim3(threads, threads == 32 ? 8 : 1);
    grid = dim3(static_cast<unsigned>(ceil_div(rows, block.y)));
  }
};

/// f(items, again), both as std::integral_constant: 1, 2, 4, ... `most` items, or 8 and again.
template <int most, class F>
void visit_launch(const RowLaunch& launch, F&& f) {
  if (launch.again) return f(std::integral_constant<int, 8>{}, std::true_type{});
  const auto try_items = [&]<int items>(std::integral_constant<int, items> known) {
    if constexpr (items <= most) {
      if (launch.items == items) f(known, std::false_type{});
    }
  };
  try_items(std::integral_constant<int, 1>{});
  try_items(std::integral_constant<int, 2>{});
  try_items(std::integral_constant<int, 4>{});
  try_items(std::integral_constant<int, 8>{});
  try_items(std::integral_constant<int, 16>{});
  try_items(std::integral_constant<int, 32>{});
}

/// How many items of type T a thread can hold if it holds `arrays` chunks.
template <class T, int arrays>
inline constexpr int kMostItems = 32 / arrays / (sizeof(T) / 4);

/// The lowest finite number: what a maximum begins with where -inf - -inf must not arise.
template <class T>
inline constexpr T kLowest = sizeof(T) == 8 ? T(-0x1.fffffffffffffp1023) : T(-0x1.fffffep127f);

/// The largest element of a row, and the sum of exp(element - largest). NaN, which fmax passes over,
/// comes back in the sum.
template <class T>
struct LogSum {
  T top = kLowest<T>;
  T sum = 0;

  /// Of a row that is one chunk.
  template <int kItems>
  __device__ void of_row(const Chunk<T, kItems>& x) {
    T mine = x.at[0];
#pragma unroll
    for (int i = 1; i < kItems; ++i) mine = std::fmax(mine, x.at[i]);
    top = across_row(mine, T(-INFINITY), Maximum{});
  }
  /// Of the chunks so far. In one pass: Milakov & Gimelshein, "Online normalizer calculation for
  /// softmax" (arXiv 1805.02867).
  template <int kItems>
  __device__ void add(const Chunk<T, kItems>& x) {
    T larger = top;
#pragma unroll
    for (int i = 0; i < kItems; ++i) larger = std::fmax(larger, x.at[i]);
    sum *= std::exp(top - larger);
    top = larger;
#pragma unroll
    for (int i = 0; i < kItems; ++i) sum += std::exp(x.at[i] - top);
  }
  /// What the threads of the row found, together.
  __device__ void join_row() {
    const T all = across_row(top, kLowest<T>, Maximum{});
    sum = across_row(sum * std::exp(top - all), T(0), Plus{});
    top = all;
  }
};

}  // namespace needle::NEEDLE_GPU
