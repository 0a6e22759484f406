// GEMM: blocks for the caches, panels for the TLB, tiles for the registers.  (Lesson 04)
//
// Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 34(3), 2008.
// The limit is the FMA units: a tile of kRows x kColumns results stays in registers while k runs,
// so each step loads kRows + kColumns numbers for kRows * kColumns multiply-adds.
#include "needle/backend/cpu/gemm.h"

namespace needle::NEEDLE_ISA {
namespace {

// With 32 registers: 14 x 2 accumulators, 2 of B, 1 of A. With 16: 6 x 2, 2, 1.
constexpr bool kManyRegisters = sizeof(Vec<float>) == 64;
constexpr int kRows = kManyRegisters ? 14 : 6;
template <class T>
constexpr int kColumns = 2 * static_cast<int>(kWidth<T>);

constexpr int64_t kBlockK = 256;         // kRows x kBlockK of A stays in L1
constexpr int64_t kBlockM = kRows * 12;  // kBlockM x kBlockK of A stays in L2
constexpr int64_t kBlockN = 2048;        // kBlockK x kBlockN of B stays in L3

/// C[R][kColumns] (+)= A B for one tile. a: k steps of kRows numbers; b: k steps of kColumns.
template <class T, int R>
void tile(int64_t k, const T* a, const T* b, T* c, int64_t c_row, bool accumulate) {
  using V = Vec<T>;
  constexpr int64_t w = kWidth<T>;
  V sum[R][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) sum[i][0] = sum[i][1] = V(T(0));
  for (int64_t p = 0; p < k; ++p) {
    const V b0 = V::load_aligned(b);
    const V b1 = V::load_aligned(b + w);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const V ai(a[i]);
      sum[i][0] = fma<T>(ai, b0, sum[i][0]);
      sum[i][1] = fma<T>(ai, b1, sum[i][1]);
    }
    a += kRows;
    b += kColumns<T>;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    T* out = c + i * c_row;
    if (accumulate) {
      sum[i][0] += V::load_unaligned(out);
      sum[i][1] += V::load_unaligned(out + w);
    }
    sum[i][0].store_unaligned(out);
    sum[i][1].store_unaligned(out + w);
  }
}

template <class T>
using Tile = void (*)(int64_t, const T*, const T*, T*, int64_t, bool);

/// tile<T, rows>, for rows in 1 ... kRows: the last panel of A does no more work than it has rows.
template <class T, int... I>
Tile<T> tile_of(int64_t rows, std::integer_sequence<int, I...>) {
  static constexpr Tile<T> tiles[] = {tile<T, I + 1>...};
  return tiles[rows - 1];
}

/// Panels of kRows rows of A, k-major: what tile() reads is consecutive.
template <class T>
void pack_a(int64_t m, int64_t k, Matrix<const T> a, T* out) {
  for (int64_t i = 0; i < m; i += kRows, out += kRows * k) {
    const int64_t rows = least(kRows, m - i);
    if (a.row == 1) {
      for (int64_t p = 0; p < k; ++p) {
        const T* from = a.data + i + p * a.column;
        for (int64_t r = 0; r < rows; ++r) out[p * kRows + r] = from[r];
      }
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        const T* from = a.data + (i + r) * a.row;
        for (int64_t p = 0; p < k; ++p) out[p * kRows + r] = from[p * a.column];
      }
    }
  }
}

/// Panels of kColumns columns of B, k-major; missing columns are zeros.
template <class T>
void pack_b(int64_t n, int64_t k, Matrix<const T> b, T* out) {
  constexpr int64_t width = kColumns<T>;
  for (int64_t j = 0; j < n; j += width, out += width * k) {
    const int64_t columns = least(width, n - j);
    if (b.column == 1 && columns == width) {
      for (int64_t p = 0; p < k; ++p) {
        std::memcpy(out + p * width, b.data + p * b.row + j, width * sizeof(T));
      }
    } else if (columns == width) {
      const T* from = b.data + j * b.column;
      for (int64_t p = 0; p < k; ++p, from += b.row) {
#pragma GCC unroll 32
        for (int64_t c = 0; c < width; ++c) out[p * width + c] = from[c * b.column];
      }
    } else {
      for (int64_t c = 0; c < width; ++c) {
        const T* from = b.data + (j + c) * b.column;
        for (int64_t p = 0; p < k; ++p) out[p * width + c] = c < columns ? from[p * b.row] : T(0);
      }
    }
  }
}

/// One block: packed A (m, k) times packed B (k, n) into C.
template <class T>
void multiply_block(int64_t m, int64_t n, int64_t k, const T* a, const T* b, Matrix<T> c,
                    bool accumulate) {
  constexpr int64_t width = kColumns<T>;
  for (int64_t j = 0; j < n; j += width) {
    const int64_t columns = least(width, n - j);
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = least(kRows, m - i);
      const Tile<T> run = tile_of<T>(rows, std::make_integer_sequence<int, kRows>{});
      T* out = c.data + i * c.row + j;
      if (columns == width) {
        run(k, a + i * k, b + j * k, out, c.row, accumulate);
        continue;
      }
      // The tile hangs over C's right edge: compute it aside.
      alignas(64) T aside[kRows * width];
      run(k, a + i * k, b + j * k, aside, width, false);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t s = 0; s < columns; ++s) {
          T& element = out[r * c.row + s];
          element = accumulate ? element + aside[r * width + s] : aside[r * width + s];
        }
      }
    }
  }
}

}  // namespace

template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate) {
  if (k == 0 && !accumulate) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) c.data[i * c.row + j] = T(0);
    }
  }
  if (m == 0 || n == 0 || k == 0) return;
  const int64_t block_n = least(n, kBlockN);
  const int64_t block_k = least(k, kBlockK);
  const int64_t padded = (block_n + kColumns<T> - 1) / kColumns<T> * kColumns<T>;
  const int64_t block_m = least((m + kRows - 1) / kRows * kRows, kBlockM);
  T* packed_b = static_cast<T*>(scratch(0, padded * block_k * sizeof(T)));
  T* packed_a = static_cast<T*>(scratch(1, block_m * block_k * sizeof(T)));

  for (int64_t j = 0; j < n; j += kBlockN) {
    const int64_t columns = least(kBlockN, n - j);
    for (int64_t p = 0; p < k; p += kBlockK) {
      const int64_t depth = least(kBlockK, k - p);
      pack_b<T>(columns, depth, {b.data + p * b.row + j * b.column, b.row, b.column}, packed_b);
      for (int64_t i = 0; i < m; i += kBlockM) {
        const int64_t rows = least(kBlockM, m - i);
        pack_a<T>(rows, depth, {a.data + i * a.row + p * a.column, a.row, a.column}, packed_a);
        multiply_block<T>(rows, columns, depth, packed_a, packed_b,
                          {c.data + i * c.row + j, c.row, 1}, accumulate || p > 0);
      }
    }
  }
}

template void gemm<float>(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const float>,
                          Matrix<float>, bool);
template void gemm<double>(int64_t, int64_t, int64_t, Matrix<const double>, Matrix<const double>,
                           Matrix<double>, bool);

}  // namespace needle::NEEDLE_ISA
