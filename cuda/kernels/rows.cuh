// Rows: kernels that treat the last axis of their operands as one unit.  (Lessons 04 and 05)
//
// A row is loaded once, in a chunk that stays in registers. Neighbouring threads read neighbouring
// packs of 16 bytes, where the rows lie so that they can, and the loads of a thread do not wait for
// each other. Rows of up to 512 elements have a warp each, longer ones a block. Those too long for the
// registers of a block are gone through chunk by chunk, once for each pass: a second time in shared
// memory, if they fit there (on an H100 57,000 floats), else where they were.
#pragma once

#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {

inline constexpr int kRowThreads = 512;    // of a row, at most,
inline constexpr int kKeptThreads = 1024;  // but of one that a block keeps, if registers suffice

/// The rows of N operands. One without the last axis (a statistic of each row) has step 0.
template <int N>
struct Rows {
  Walk<N> leading;  // over the axes before the last
  int n;            // elements of a row
  int64_t step[N];  // between them, in elements
  bool whole[N];    // this operand has whole rows

  __device__ __host__ int64_t count() const { return leading.size; }

  /// Whether `width` neighbours of a row, `item` bytes each, can move as one in every operand.
  bool packs(int width, int item) const {
    bool fits = n % width == 0;
    for (int k = 0; k < N; ++k) {
      if (!whole[k]) continue;
      fits &= step[k] == 1 && reinterpret_cast<uintptr_t>(leading.data[k]) % (width * item) == 0;
      for (int axis = 0; axis < leading.ndim; ++axis) {
        fits &= leading.stride[k][axis] % (width * item) == 0;
      }
    }
    return fits;
  }
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
  bool whole[N];
  for (int k = 0; k < N; ++k) {
    leading[k] = *operands[k];
    whole[k] = operands[k]->ndim() == first.ndim();
    if (whole[k]) {
      step[k] = operands[k]->strides[last];
      leading[k].shape[last] = 1;
    }
    pointers[k] = &leading[k];
  }
  Rows<N> rows{Walk<N>(pointers, Order::row_major), static_cast<int>(first.shape[last]), {}, {}};
  for (int k = 0; k < N; ++k) rows.step[k] = step[k], rows.whole[k] = whole[k];
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

/// A thread's share of a row: items, those of them that lie side by side, and whether the row is longer
/// than all shares, so that it is read again for each pass.
template <int items, int pack, bool again>
struct Share {
  static constexpr int kItems = items, kPack = pack;
  static constexpr bool kAgain = again;
};

/// What this thread holds of one chunk of a row.
template <class T, class S>
struct Chunk {
  static constexpr int kItems = S::kItems, kPack = S::kPack;
  using Packed = Pack<T, kPack>;
  T at[kItems];

  /// The place of item i within a row whose chunk begins at `begin`.
  __device__ static int place(int begin, int i) {
    const int pack = static_cast<int>(threadIdx.x) + i / kPack * static_cast<int>(blockDim.x);
    return begin + pack * kPack + i % kPack;
  }
  /// How far it is to the next chunk.
  __device__ static int length() { return static_cast<int>(blockDim.x) * kItems; }

  /// Beyond the row's end: `rest`. The step of packs is 1.
  __device__ void load(const T* row, int64_t step, int begin, int n, T rest) {
#pragma unroll
    for (int i = 0; i < kItems; i += kPack) {
      const int j = place(begin, i);
      Packed pack;
#pragma unroll
      for (int p = 0; p < kPack; ++p) pack.at[p] = rest;
      if (j < n) pack = *reinterpret_cast<const Packed*>(row + (kPack > 1 ? j : j * step));
#pragma unroll
      for (int p = 0; p < kPack; ++p) at[i + p] = pack.at[p];
    }
  }
  /// f(item, its place) at the same places.
  template <class F>
  __device__ void store(T* row, int64_t step, int begin, int n, F f) const {
#pragma unroll
    for (int i = 0; i < kItems; i += kPack) {
      const int j = place(begin, i);
      if (j >= n) continue;
      Packed pack;
#pragma unroll
      for (int p = 0; p < kPack; ++p) pack.at[p] = f(i + p, j + p);
      *reinterpret_cast<Packed*>(row + (kPack > 1 ? j : j * step)) = pack;
    }
  }
};

/// A row between two passes over its chunks: in `shared`, or if that is null, where it was. A thread gets
/// what it has put there itself, so that nobody waits for others.
template <class T>
struct Kept {
  T* shared;
  const T* row;
  int64_t step;

  template <class S>
  __device__ void put(const Chunk<T, S>& chunk, int begin, int n) const {
    if (shared) chunk.store(shared, 1, begin, n, [&](int i, int) { return chunk.at[i]; });
  }
  template <class S>
  __device__ void get(Chunk<T, S>& chunk, int begin, int n) const {
    shared ? chunk.load(shared, 1, begin, n, T(0)) : chunk.load(row, step, begin, n, T(0));
  }
};

/// How many items a thread holds of a short row, and of any other if it holds `arrays` chunks of T.
inline constexpr int kFewItems = 4;
template <class T, int arrays>
inline constexpr int kMostItems = (arrays > 2 ? 8 : 16) / (sizeof(T) / 4);

/// How rows are shared out: threads for each, rows of a block, items of a thread.
struct RowLaunch {
  dim3 grid, block;
  int items;
  bool again, packs;
  size_t kept = 0;  // bytes of shared memory for a row between two passes

  RowLaunch(int64_t rows, int n, int most, bool packed) : packs(packed) {
    unsigned threads = 32;
    items = n <= 32 * kFewItems ? kFewItems : most;
    while (threads < kRowThreads && static_cast<int>(threads) * items < n) threads *= 2;
    again = static_cast<int>(threads) * items < n;
    block = dim3(threads, threads == 32 ? 8 : 1);
    grid = dim3(static_cast<unsigned>(ceil_div(rows, block.y)));
  }
  /// Keeps n elements of `item` bytes of a row that is read again, if there is room: then few blocks fit
  /// on a multiprocessor, and each should have so many threads.
  void keep(int n, size_t item, unsigned threads) {
    constexpr size_t kForSums = 1 << 10;  // of across_row
    const size_t bytes = static_cast<size_t>(n) * item;
    if (!again || bytes + kForSums > most_shared()) return;
    kept = bytes;
    block.x = threads;
  }
};

/// f(Share) for elements of T, of which a thread holds kFewItems or `most`.
template <class T, int most, class F>
void visit_share(const RowLaunch& launch, F&& f) {
  const auto packed = [&]<int pack>(std::integral_constant<int, pack>) {
    if (launch.again) return f(Share<most, pack, true>{});
    if (launch.items == most) return f(Share<most, pack, false>{});
    if constexpr (most != kFewItems) f(Share<kFewItems, pack, false>{});
  };
  if (launch.packs) return packed(std::integral_constant<int, 16 / sizeof(T)>{});
  packed(std::integral_constant<int, 1>{});
}

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
  template <class S>
  __device__ void of_row(const Chunk<T, S>& x) {
    T mine = x.at[0];
#pragma unroll
    for (int i = 1; i < S::kItems; ++i) mine = std::fmax(mine, x.at[i]);
    top = across_row(mine, T(-INFINITY), Maximum{});
  }
  /// Of the chunks so far. In one pass: Milakov & Gimelshein, "Online normalizer calculation for
  /// softmax" (arXiv 1805.02867).
  template <class S>
  __device__ void add(const Chunk<T, S>& x) {
    T larger = top;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) larger = std::fmax(larger, x.at[i]);
    sum *= std::exp(top - larger);
    top = larger;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) sum += std::exp(x.at[i] - top);
  }
  /// What the threads of the row found, together.
  __device__ void join_row() {
    const T all = across_row(top, kLowest<T>, Maximum{});
    sum = across_row(sum * std::exp(top - all), T(0), Plus{});
    top = all;
  }
};

}  // namespace needle::NEEDLE_GPU
