// Rows: kernels that treat the last axis of their operands as one unit.  (Lessons 04 and 05)
//
// A row is loaded once, in a chunk that stays in registers. Neighbouring threads read neighbouring
// packs of 16 bytes, where the rows lie so that they can, and the loads of a thread do not wait for
// each other. Rows of up to 512 elements have a warp each (short ones, in some kernels, a few of its
// lanes), longer ones a block. Those too long for the registers of a block are shared by the blocks of a
// cluster, where a GPU has clusters and the kernel is made for them (clusters.h). Otherwise they are gone
// through chunk by chunk, once for each pass: a second time in shared memory, if they fit there (on an
// H100 57,000 floats), else where they were.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"

namespace needle::NEEDLE_GPU {

inline constexpr int kRowThreads = 512;    // of a row, at most,
inline constexpr int kKeptThreads = 1024;  // but of one that a block keeps, if registers suffice

/// How the elements of rows can move: one by one; in packs of 16 bytes; or in packs although rows begin
/// somewhere within one, if all operands' rows begin at the same place in theirs. (Tables of 50,257
/// columns have such rows.) The first and the last pack of a row are then not whole.
enum class Fit : uint8_t { single, packs, ragged };

/// The rows of N operands. One without the last axis (a statistic of each row) has step 0.
template <int N>
struct Rows {
  Walk<N> leading;  // over the axes before the last
  int n;            // elements of a row
  int64_t step[N];  // between them, in elements
  bool whole[N];    // this operand has whole rows

  __device__ __host__ int64_t count() const { return leading.size; }

  /// Of elements of `item` bytes; operand 0 has rows.
  Fit fit(int item) const {
    bool packs = n * int64_t{item} % 16 == 0, alike = true;
    const auto look = [&](int64_t bytes, int64_t of_first) {
      packs &= bytes % 16 == 0;
      alike &= (bytes - of_first) % 16 == 0;
    };
    for (int k = 0; k < N; ++k) {
      if (!whole[k]) continue;
      if (step[k] != 1) return Fit::single;
      look(reinterpret_cast<intptr_t>(leading.data[k]),
           reinterpret_cast<intptr_t>(leading.data[0]));
      for (int axis = 0; axis < leading.ndim; ++axis) {
        look(leading.stride[k][axis], leading.stride[0][axis]);
      }
    }
    return packs ? Fit::packs : alike ? Fit::ragged : Fit::single;
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

/// Where a row lies in each operand. One beyond the last has no elements.
template <int N>
struct Row {
  const Rows<N>& rows;
  int n;  // elements
  int64_t at[N];

  __device__ Row(const Rows<N>& rows, int64_t index)
      : rows(rows), n(index < rows.count() ? rows.n : 0) {
    rows.leading.locate(index < rows.count() ? index : 0, at);
  }
  template <class T>
  __device__ T* data(int operand) const {
    return reinterpret_cast<T*>(rows.leading.data[operand] + at[operand]);
  }
};

/// The number of the row that this thread works on.
__device__ inline int64_t row_index() { return int64_t{blockIdx.x} * blockDim.y + threadIdx.y; }

/// A thread's share of a row: items, those of them that lie side by side, whether the row is longer
/// than all shares, so that it is read again for each pass, and whether packs are ragged.
template <int items, int pack, bool again, bool ragged = false>
struct Share {
  static constexpr int kItems = items, kPack = pack;
  static constexpr bool kAgain = again, kRagged = ragged;
};

/// What this thread holds of one chunk of a row.
template <class T, class S>
struct Chunk {
  static constexpr int kItems = S::kItems, kPack = S::kPack;
  using Packed = Pack<T, kPack>;
  T at[kItems];

  /// How many elements before the row its first pack begins.
  __device__ static int ahead(const T* row) {
    if constexpr (!S::kRagged) return 0;
    return static_cast<int>(reinterpret_cast<uintptr_t>(row) / sizeof(T) % kPack);
  }
  /// The place of item i within a row whose chunk begins at `begin`, from the row's first pack on.
  __device__ static int place(int begin, int i) {
    const int pack = static_cast<int>(threadIdx.x) + i / kPack * static_cast<int>(blockDim.x);
    return begin + pack * kPack + i % kPack;
  }
  /// How far it is to the next chunk.
  __device__ static int length() { return static_cast<int>(blockDim.x) * kItems; }

  /// Beyond the row's end: `rest`. The step of packs is 1.
  __device__ void load(const T* row, int64_t step, int begin, int n, T rest) {
    load_packs(row, step, begin, n, rest);
    load_ends(row, begin, n);
  }
  /// The same in two parts: all that moves in packs, and a row's first and last elements, which may not.
  /// Who loads two chunks asks for the packs of both before one waits for its ends.
  __device__ void load_packs(const T* row, int64_t step, int begin, int n, T rest) {
    const int shift = ahead(row);
#pragma unroll
    for (int i = 0; i < kItems; i += kPack) {
      const int j = place(begin, i) - shift;
      Packed pack;
#pragma unroll
      for (int p = 0; p < kPack; ++p) pack.at[p] = rest;
      if (is_whole(j, n)) pack = *reinterpret_cast<const Packed*>(row + (kPack > 1 ? j : j * step));
#pragma unroll
      for (int p = 0; p < kPack; ++p) at[i + p] = pack.at[p];
    }
  }
  __device__ void load_ends(const T* row, int begin, int n) {
    if constexpr (S::kRagged) {
      const int shift = ahead(row);
#pragma unroll
      for (int i = 0; i < kItems; i += kPack) {
        const int j = place(begin, i) - shift;
        if (is_whole(j, n) || j >= n || j + kPack <= 0) continue;
#pragma unroll
        for (int p = 0; p < kPack; ++p) {
          if (j + p >= 0 && j + p < n) at[i + p] = row[j + p];
        }
      }
    }
  }
  /// f(item, its place) at the same places.
  template <class F>
  __device__ void store(T* row, int64_t step, int begin, int n, F f) const {
    const int shift = ahead(row);
#pragma unroll
    for (int i = 0; i < kItems; i += kPack) {
      const int j = place(begin, i) - shift;
      if (j >= n) continue;
      Packed pack;
#pragma unroll
      for (int p = 0; p < kPack; ++p) pack.at[p] = f(i + p, j + p);
      if (is_whole(j, n)) {
        *reinterpret_cast<Packed*>(row + (kPack > 1 ? j : j * step)) = pack;
      } else {
#pragma unroll
        for (int p = 0; p < kPack; ++p) {
          if (j + p >= 0 && j + p < n) row[j + p] = pack.at[p];
        }
      }
    }
  }

 private:
  /// Whether the pack from place j on is all of the row's, which otherwise is outside of it.
  __device__ static bool is_whole(int j, int n) {
    return S::kRagged ? j >= 0 && j + kPack <= n : j < n;
  }
};

/// A row between two passes over its chunks: in `shared`, or if that is null, where it was. A thread gets
/// what it has put there itself, so that nobody waits for others. Packs are whole, whatever the row's.
template <class T>
struct Kept {
  T* shared;
  const T* row;
  int64_t step;

  template <class S>
  __device__ void put(const Chunk<T, S>& chunk, int begin, int n) const {
    if (!shared) return;
#pragma unroll
    for (int i = 0; i < S::kItems; i += S::kPack) {
      const int j = chunk.place(begin, i);
      if (j >= n + chunk.ahead(row)) continue;
      Pack<T, S::kPack> pack;
#pragma unroll
      for (int p = 0; p < S::kPack; ++p) pack.at[p] = chunk.at[i + p];
      *reinterpret_cast<Pack<T, S::kPack>*>(shared + j) = pack;
    }
  }
  template <class S>
  __device__ void get(Chunk<T, S>& chunk, int begin, int n) const {
    if (!shared) return chunk.load(row, step, begin, n, T(0));
#pragma unroll
    for (int i = 0; i < S::kItems; i += S::kPack) {
      const int j = chunk.place(begin, i);
      if (j >= n + chunk.ahead(row)) continue;
      const auto pack = *reinterpret_cast<const Pack<T, S::kPack>*>(shared + j);
#pragma unroll
      for (int p = 0; p < S::kPack; ++p) chunk.at[i + p] = pack.at[p];
    }
  }
};

/// Elements of a short row, at most; and how many of them a thread holds if 32 share it. And how many of
/// any other row, if a thread holds `arrays` chunks of T.
inline constexpr int kShort = 128, kFewItems = kShort / 32;
template <class T, int arrays>
inline constexpr int kMostItems = (arrays > 2 ? 8 : 16) / (sizeof(T) / 4);

/// How many lanes have a short row, if a thread holds `most` items.
constexpr unsigned lanes_of_short(int most) { return static_cast<unsigned>(kShort / most); }

/// How rows are shared out: threads for each, rows of a block, items of a thread.
struct RowLaunch {
  dim3 grid, block;
  int items;
  bool again;
  Fit fit;
  int reach;        // elements from a row's first pack on, at most
  size_t kept = 0;  // bytes of shared memory for a row between two passes
  bool is_narrow = false;

  RowLaunch(int64_t rows, int n, int most, size_t item, Fit fits) : fit(fits) {
    unsigned threads = 32;
    items = n <= kShort ? kFewItems : most;
    while (threads < kRowThreads && static_cast<int>(threads) * items < n) threads *= 2;
    const int length = static_cast<int>(threads) * items;
    again = length < n;
    reach = n + (fit == Fit::ragged ? 16 / static_cast<int>(item) - 1 : 0);
    // It would take a chunk more, for which there is no loop.
    if (ceil_div(n, length) < ceil_div(reach, length)) fit = Fit::single, reach = n;
    block = dim3(threads, threads == 32 ? 8 : 1);
    grid = dim3(static_cast<unsigned>(ceil_div(rows, block.y)));
  }
  /// For kernels whose threads always have `most` items: gives short rows a few lanes of a warp, in blocks
  /// of so many threads.
  void narrow(int64_t rows, int most, unsigned threads = 256) {
    items = most;
    const unsigned lanes = lanes_of_short(most);
    if (lanes >= 32 || reach > kShort) return;
    is_narrow = true;
    block = dim3(lanes, threads / lanes);
    grid.x = static_cast<unsigned>(ceil_div(rows, block.y));
  }
  /// Shares a row that is read again among up to `most` blocks, with a chunk each: those of one x.
  /// Of small blocks more than one fits on a multiprocessor; while some wait, others work.
  void share(unsigned most, int64_t most_threads) {
    if (fit == Fit::single) return;
    const int64_t blocks = least(ceil_div(reach, kRowThreads / 2 * items), most);
    const int64_t threads = ceil_div(ceil_div(reach, blocks * items), 32) * 32;
    if (threads > most_threads) return;
    again = false;
    block.x = static_cast<unsigned>(threads);
    grid.y = static_cast<unsigned>(blocks);
  }
  bool is_shared() const { return grid.y > 1; }
  /// Keeps a row of elements of `item` bytes that is read again, if there is room: then few blocks fit on
  /// a multiprocessor, and each should have so many threads.
  void keep(size_t item, unsigned threads) {
    constexpr size_t kForSums = 1 << 10;  // of across_row
    const size_t bytes = (static_cast<size_t>(reach) * item + 15) / 16 * 16;
    if (!again || bytes + kForSums > most_shared()) return;
    kept = bytes;
    block.x = threads;
  }
};

/// f(Share) for elements of T, of which a thread holds kFewItems or `most`. `ragged`: there may be
/// such packs; `few`: threads with few items.
template <class T, int most, bool ragged, bool few = true, class F>
void visit_share(const RowLaunch& launch, F&& f) {
  const auto visit = [&]<int pack, bool is_ragged>(std::integral_constant<int, pack>,
                                                   std::bool_constant<is_ragged>) {
    if (launch.again) return f(Share<most, pack, true, is_ragged>{});
    if (launch.items == most) return f(Share<most, pack, false, is_ragged>{});
    if constexpr (few && most != kFewItems) f(Share<kFewItems, pack, false, is_ragged>{});
  };
  constexpr std::integral_constant<int, 16 / sizeof(T)> pack;
  if (launch.fit == Fit::packs) return visit(pack, std::false_type{});
  if constexpr (ragged) {
    if (launch.fit == Fit::ragged) return visit(pack, std::true_type{});
  }
  visit(std::integral_constant<int, 1>{}, std::false_type{});
}

/// f(Share, RowOfLanes or RowOfBlock), after launch.narrow().
template <class T, int most, bool ragged, class F>
void visit_rows(const RowLaunch& launch, F&& f) {
  visit_share<T, most, ragged, false>(launch, [&]<class S>(S share) {
    if constexpr (!S::kAgain && lanes_of_short(most) < 32) {
      if (launch.is_narrow) return f(share, RowOfLanes<lanes_of_short(most)>{});
    }
    f(share, RowOfBlock{});
  });
}

/// The lowest finite number: what a maximum begins with where -inf - -inf must not arise.
template <class T>
inline constexpr T kLowest = sizeof(T) == 8 ? T(-0x1.fffffffffffffp1023) : T(-0x1.fffffep127f);

/// exp(x - top) where top is not less than x. For floats in three instructions, instead of ten: then
/// (top - x) / 2^23 off, relatively, at most, which is little where the result is not.
template <class T>
__device__ T exp_below(T x, T top) {
  if constexpr (std::is_same_v<T, float>) {
    return exp2_approximately((x - top) * 1.44269504f);
  } else {
    return std::exp(x - top);
  }
}

/// The largest element of a row, and the sum of exp(element - largest). NaN, which fmax passes over,
/// comes back in the sum.
template <class T>
struct LogSum {
  T top = kLowest<T>;
  T sum = 0;

  /// Of a row that is one chunk.
  template <class S, class Sharing = RowOfBlock>
  __device__ void of_row(const Chunk<T, S>& x, Sharing sharing = {}) {
    T mine = x.at[0];
#pragma unroll
    for (int i = 1; i < S::kItems; ++i) mine = std::fmax(mine, x.at[i]);
    top = sharing.across_row(mine, T(-INFINITY), Maximum{});
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
    for (int i = 0; i < S::kItems; ++i) sum += exp_below(x.at[i], top);
  }
  /// What the threads of the row found, together.
  __device__ void join_row() {
    const T all = across_row(top, kLowest<T>, Maximum{});
    sum = across_row(sum * std::exp(top - all), T(0), Plus{});
    top = all;
  }
};

}  // namespace needle::NEEDLE_GPU
