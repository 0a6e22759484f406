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

/// C (m, n) = A (m, k) B (k, n), or += with `accumulate`. One thread; C's columns are compact
/// (c.column == 1). Uses scratch buffers 0 and 1 of this thread.
template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c,
          bool accumulate);

}  // namespace needle::NEEDLE_ISA
