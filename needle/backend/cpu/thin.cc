// Products with few rows, a token's or a small batch's.  (Lesson 04)
//
// The limit is reading B once: 2 m FLOPs for each of its elements. Packing would read, write and
// read it again. So B is taken as it lies there: if its columns are compact (a transposed weight),
// by dot products with them; if its rows are, by adding multiples of them to C.
#include "needle/backend/cpu/gemm.h"
#include "needle/backend/machine.h"

namespace needle::NEEDLE_ISA {
namespace {

// With more rows than these packing pays.
constexpr int64_t kFewForDots = 16;
constexpr int64_t kFewForRows = 8;

/// R x C dot products at once: R + C loads for R * C multiply-adds.
template <class T, int R, int C>
void dot_tile(int64_t k, const T* a, int64_t a_row, const T* b, int64_t b_column, Matrix<T> c) {
  Vec<T> sum[R][C];
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) sum[i][j] = Vec<T>(T(0));
  }
  vectors<T>(k, [&](auto load, auto) {
    Vec<T> column[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) column[j] = load(b + j * b_column, T(0));
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      const Vec<T> row = load(a + i * a_row, T(0));
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) sum[i][j] = fma<T>(row, column[j], sum[i][j]);
    }
  });
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < C; ++j) c.data[i * c.row + j * c.column] = hsum<T>(sum[i][j]);
  }
}

/// All rows of A times C columns of B, which stay in a cache meanwhile.
template <class T, int C>
void dot_columns(int64_t m, int64_t k, Matrix<const T> a, const T* b, int64_t b_column,
                 Matrix<T> c) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) {
    dot_tile<T, 4, C>(k, a.data + i * a.row, a.row, b, b_column,
                      {c.data + i * c.row, c.row, c.column});
  }
  const Matrix<T> rest{c.data + i * c.row, c.row, c.column};
  const T* rows = a.data + i * a.row;
  if (m - i == 3) dot_tile<T, 3, C>(k, rows, a.row, b, b_column, rest);
  if (m - i == 2) dot_tile<T, 2, C>(k, rows, a.row, b, b_column, rest);
  if (m - i == 1) dot_tile<T, 1, C>(k, rows, a.row, b, b_column, rest);
}

template <class T>
void dots(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  constexpr int kColumns = 3;  // with 4 rows: 12 sums, 3 columns, 1 row in 16 registers
  for (int64_t j = 0; j < n;) {
    const T* columns = b.data + j * b.column;
    const Matrix<T> to{c.data + j * c.column, c.row, c.column};
    if (j + kColumns <= n) {
      dot_columns<T, kColumns>(m, k, a, columns, b.column, to);
      j += kColumns;
    } else {
      dot_columns<T, 1>(m, k, a, columns, b.column, to);
      ++j;
    }
  }
}

/// C (m, n) += A B for S rows of B: an element of C is read and written once for S multiply-adds.
/// a: S steps of m numbers. C is compact.
template <class T, int S>
void add_rows(int64_t m, int64_t n, const T* a, const T* b, int64_t b_row, T* c) {
  constexpr int64_t w = kWidth<T>;
  int64_t j = 0;
  for (; j + 2 * w <= n; j += 2 * w) {
    Vec<T> row[S][2];
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      row[s][0] = Vec<T>::load_unaligned(b + s * b_row + j);
      row[s][1] = Vec<T>::load_unaligned(b + s * b_row + j + w);
    }
    for (int64_t i = 0; i < m; ++i) {
      T* sum = c + i * n + j;
      Vec<T> sum0 = Vec<T>::load_unaligned(sum), sum1 = Vec<T>::load_unaligned(sum + w);
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) {
        const Vec<T> factor(a[s * m + i]);
        sum0 = fma<T>(factor, row[s][0], sum0);
        sum1 = fma<T>(factor, row[s][1], sum1);
      }
      sum0.store_unaligned(sum);
      sum1.store_unaligned(sum + w);
    }
  }
  for (; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i) {
      for (int s = 0; s < S; ++s) c[i * n + j] += a[s * m + i] * b[s * b_row + j];
    }
  }
}

/// A is turned over and C computed aside: their own rows are often a round number of bytes apart
/// and compete for a few places in L1.
template <class T>
void stream(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  constexpr int64_t kRowsOfB = 8;
  // So many columns that their part of C takes half of L1.
  const int64_t fit = caches().l1 / 2 / (m * int64_t{sizeof(T)}) / kWidth<T> * kWidth<T>;
  const int64_t chunk = fit < kWidth<T> ? kWidth<T> : fit;
  T* turned = static_cast<T*>(scratch(0, static_cast<size_t>(m * k) * sizeof(T)));
  T* sums = static_cast<T*>(scratch(1, static_cast<size_t>(m * chunk) * sizeof(T)));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) turned[p * m + i] = a.data[i * a.row + p * a.column];
  }
  for (int64_t j = 0; j < n; j += chunk) {
    const int64_t columns = least(chunk, n - j);
    std::memset(sums, 0, static_cast<size_t>(m * columns) * sizeof(T));
    int64_t p = 0;
    for (; p + kRowsOfB <= k; p += kRowsOfB) {
      add_rows<T, kRowsOfB>(m, columns, turned + p * m, b.data + p * b.row + j, b.row, sums);
    }
    for (; p < k; ++p) {
      add_rows<T, 1>(m, columns, turned + p * m, b.data + p * b.row + j, b.row, sums);
    }
    for (int64_t i = 0; i < m; ++i) {
      std::memcpy(c.data + i * c.row + j, sums + i * columns,
                  static_cast<size_t>(columns) * sizeof(T));
    }
  }
}

}  // namespace

template <class T>
bool thin(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  if (k == 0) return false;
  const bool by_columns = m <= kFewForDots && a.column == 1 && b.row == 1 && k >= 16 * kWidth<T>;
  // A small B that lies as gemm() wants it is not packed there either.
  const bool small = n * k * int64_t{sizeof(T)} <= caches().l2 / 2;
  const bool by_rows = m <= (small ? 2 : kFewForRows) && b.column == 1 && c.column == 1;
  if (!by_columns && !by_rows) return false;
  parallel_for(n, 64 + 65536 / (k + 1), [&](int64_t begin, int64_t end) {
    const Matrix<const T> columns{b.data + begin * b.column, b.row, b.column};
    const Matrix<T> to{c.data + begin * c.column, c.row, c.column};
    by_columns ? dots<T>(m, end - begin, k, a, columns, to)
               : stream<T>(m, end - begin, k, a, columns, to);
  });
  return true;
}

template bool thin<float>(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const float>,
                          Matrix<float>);
template bool thin<double>(int64_t, int64_t, int64_t, Matrix<const double>, Matrix<const double>,
                           Matrix<double>);

}  // namespace needle::NEEDLE_ISA
