// A product of matrices by tiles, whose operands may lie anywhere: what matmul and the convolutions
// have in common.  (Lessons 04 and 05)
//
// A block computes a tile of 64 x 64 results. It brings 64 x 16 numbers of each operand into shared
// memory, and every thread multiplies 4 of one with 4 of the other in registers: each number that
// was read from memory is used 64 times, each that was read from shared memory 4 times.
#pragma once

#include "cuda/kernels/walk.cuh"

namespace needle::NEEDLE_GPU {

inline constexpr int kSide = 64;          // of a tile
inline constexpr int kDepth = 16;         // of what lies in shared memory at a time
inline constexpr int kTileThreads = 256;  // 16 x 16

/// Sums are those of float32 for numbers of two bytes.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// From one row of a tile in shared memory to the next: whether the threads of a warp fill 32 places of
/// one row or 2 of 16 rows (16 rows, of 8 bytes), no two of them are in the same bank.
template <class Sum>
inline constexpr int kTileStride = kSide + (sizeof(Sum) == 8 ? 1 : 2);

/// The size of a product (m, k) x (k, n), and which part of k this block adds up.
struct Product {
  int64_t m, n, k, k_begin, k_end;
};

/// Sums of a tile: a thread has rows y + 16 i and columns x + 16 j, where (x, y) are its place
/// among 16 x 16. `a(i, t)` and `b(t, j)` give operands inside of (m, k) and (k, n). `a_along_k`
/// says that neighbours along k are neighbours in memory, `b_along_k` the same of b.
template <class Sum, class A, class B>
__device__ void multiply_tile(const Product& p, int64_t row, int64_t column, bool a_along_k,
                              bool b_along_k, const A& a, const B& b, Sum (&sum)[4][4]) {
  __shared__ Sum as[kDepth][kTileStride<Sum>];
  __shared__ Sum bs[kDepth][kTileStride<Sum>];
  const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) sum[i][j] = 0;
  }
  // BEGIN SOLUTION hw2.multiply_tile
  for (int64_t begin = p.k_begin; begin < p.k_end; begin += kDepth) {
    for (int e = thread; e < kSide * kDepth; e += kTileThreads) {
      const int at = a_along_k ? e / kDepth : e % kSide, ak = a_along_k ? e % kDepth : e / kSide;
      const bool a_inside = row + at < p.m && begin + ak < p.k_end;
      as[ak][at] = a_inside ? a(row + at, begin + ak) : Sum(0);
      const int bt = b_along_k ? e / kDepth : e % kSide, bk = b_along_k ? e % kDepth : e / kSide;
      const bool b_inside = column + bt < p.n && begin + bk < p.k_end;
      bs[bk][bt] = b_inside ? b(begin + bk, column + bt) : Sum(0);
    }
    __syncthreads();
    for (int t = 0; t < kDepth; ++t) {
      Sum left[4], right[4];
      for (int i = 0; i < 4; ++i) left[i] = as[t][y + 16 * i];
      for (int j = 0; j < 4; ++j) right[j] = bs[t][x + 16 * j];
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) sum[i][j] += left[i] * right[j];
      }
    }
    __syncthreads();
  }
  // END SOLUTION
}

/// put(i, j, sum) for the results of this thread that are inside.
template <class Sum, class Put>
__device__ void store_tile(const Product& p, int64_t row, int64_t column, const Sum (&sum)[4][4],
                           const Put& put) {
  const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int64_t to_row = row + y + 16 * i, to_column = column + x + 16 * j;
      if (to_row < p.m && to_column < p.n) put(to_row, to_column, sum[i][j]);
    }
  }
}

}  // namespace needle::NEEDLE_GPU
