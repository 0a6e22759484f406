// The packed matrix product that matmul and attention are built from.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {

/// A matrix in memory: element (i, j) at data[i * row + j * column].
template <class T>
struct Matrix {
  T* data;
  int64_t row, column;  // strides in elements
};

template <class T>
[[gnu::always_inline]] inline Matrix<T> transposed(Matrix<T> m) {
  return {m.data, m.column, m.row};
}

/// C (m, n) = A (m, k) B (k, n), or += with `accumulate`; on this thread, or on all with `threads`.
/// C's columns are compact (c.column == 1). Uses scratch buffers 0 and 1. S is T, or float16 or bfloat16
/// with a C of float: they are widened while they are packed.
template <class T, class S = T>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const std::type_identity_t<S>> a,
          Matrix<const std::type_identity_t<S>> b, Matrix<std::type_identity_t<T>> c,
          bool accumulate, bool threads = false);

/// gemm of bfloat16 on AMX, or in its layout but with ordinary instructions.
template <bool native>
void multiply_tiles(int64_t m, int64_t n, int64_t k, Matrix<const bfloat16> a,
                    Matrix<const bfloat16> b, Matrix<float> c, bool accumulate, bool threads);

/// C = A B for an A of few rows, several threads: B is read once, as it lies in memory, and nothing
/// is packed. False, with nothing done, if the operands are not of a kind for which that is fast.
template <class T>
bool thin(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c);

}  // namespace needle::NEEDLE_ISA
