// Panels: what the tiles of a matrix product read, laid out in the order they read it.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/transpose.h"

namespace needle::NEEDLE_ISA {

// A tile of C is kRows x kColumns. With 32 registers: 14 x 2 vectors of sums, 2 of B, 1 of A; with
// 16: 6 x 2, 2, 1.
inline constexpr int64_t kRows = sizeof(Vec<float>) == 64 ? 14 : 6;
template <class T>
inline constexpr int64_t kColumns = 2 * kWidth<T>;

/// Where the panels of an operand lie: packed, or in the matrix itself.
template <class T>
struct Panels {
  const T* data;
  int64_t panel;      // from one panel to the next
  int64_t row, step;  // within a panel: to the next row of A (column of B), to the next k
};

/// w steps of a panel of A, for which w elements of kRows rows are turned over in registers. The
/// lanes behind the last row are overwritten by what is stored next.
template <class T, class S>
[[gnu::always_inline]] inline void pack_rows(const S* from, int64_t row, T* out) {
  constexpr int64_t w = kWidth<T>;
  constexpr int64_t groups = (kRows + w - 1) / w;
  Vec<T> v[groups][w];
#pragma GCC unroll 8
  for (int64_t g = 0; g < groups; ++g) {
    load_columns<T>(from + g * w * row, row, least(w, kRows - g * w), v[g]);
  }
#pragma GCC unroll 16
  for (int64_t q = 0; q < w; ++q) {
#pragma GCC unroll 8
    for (int64_t g = 0; g < groups; ++g) v[g][q].store_unaligned(out + q * kRows + g * w);
  }
}

/// n elements of T from compact elements of S.
template <class T, class S>
[[gnu::always_inline]] inline void pack_row(T* to, const S* from, int64_t n) {
  if constexpr (std::is_same_v<T, S>) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(from[i]);
  }
}

/// Panels of kRows rows of A (m, k), k-major. Writes up to kWidth elements behind them.
template <class T, class S>
void pack_a(int64_t m, int64_t k, Matrix<const S> a, T* out) {
  for (int64_t i = 0; i < m; i += kRows, out += kRows * k) {
    const int64_t rows = least(kRows, m - i);
    const S* from = a.data + i * a.row;
    int64_t p = 0;
    if (rows == kRows && a.column == 1) {
      for (; p + kWidth<T> <= k; p += kWidth<T>) pack_rows<T>(from + p, a.row, out + p * kRows);
    } else if (rows == kRows && a.row == 1) {
      for (; p < k; ++p) pack_row(out + p * kRows, from + p * a.column, kRows);
    }
    for (; p < k; ++p) {
      for (int64_t r = 0; r < rows; ++r) {
        out[p * kRows + r] = static_cast<T>(from[r * a.row + p * a.column]);
      }
    }
  }
}

/// One panel of B from `columns` columns; those that are missing are zeros.
template <class T, class S>
void pack_columns(int64_t columns, int64_t k, Matrix<const S> b, T* out) {
  constexpr int64_t w = kWidth<T>;
  int64_t p = 0;
  if (b.row == 1 && columns == kColumns<T>) {
    for (; p + w <= k; p += w) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < kColumns<T>; half += w) {
        Vec<T> v[w];
        load_columns<T>(b.data + half * b.column + p, b.column, w, v);
#pragma GCC unroll 16
        for (int64_t q = 0; q < w; ++q) {
          v[q].store_aligned(out + (p + q) * kColumns<T> + half);
        }
      }
    }
  }
  for (; p < k; ++p) {
    const S* from = b.data + p * b.row;
    T* to = out + p * kColumns<T>;
    for (int64_t c = 0; c < kColumns<T>; ++c) {
      to[c] = c < columns ? static_cast<T>(from[c * b.column]) : T(0);
    }
  }
}

/// Panels of kColumns columns of B (k, n), k-major.
template <class T, class S>
void pack_b(int64_t n, int64_t k, Matrix<const S> b, T* out) {
  constexpr int64_t width = kColumns<T>;
  int64_t j = 0;
  if (b.column == 1) {
    // A few rows of B at a time, over all panels: memory is read as streams.
    constexpr int64_t kStreams = 8;
    const int64_t whole = n / width * width;
    for (int64_t p = 0; p < k; p += kStreams) {
      const int64_t end = least(k, p + kStreams);
      for (j = 0; j < whole; j += width) {
        for (int64_t q = p; q < end; ++q) {
          pack_row(out + j * k + q * width, b.data + q * b.row + j, width);
        }
      }
    }
    j = whole;
  }
  for (; j < n; j += width) {
    pack_columns<T, S>(least(width, n - j), k, {b.data + j * b.column, b.row, b.column},
                       out + j * k);
  }
}

}  // namespace needle::NEEDLE_ISA
