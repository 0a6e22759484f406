// What the rungs of the GPU's ladders have in common.  (Lesson 04)
//
// A rung is one file, matmul_v3.cuh, with a kernel and the function that starts it, in a namespace
// of its own. It takes compact float32 operands, with fewer elements than 2^30: indices are int,
// whose arithmetic takes half as long as that of int64_t. The last rung of a ladder is the
// library's slot.
#pragma once

#include "cuda/launch.h"
#include "needle/backend/ladder.h"

namespace needle::NEEDLE_GPU::ladder {

/// n as an int. ValueError if it is too large.
inline int as_int(int64_t n) {
  if (n >> 30 != 0) throw ValueError(str("rung: ", n, " elements; less than 2^30 are wanted"));
  return static_cast<int>(n);
}

/// a (m, k) times b (k, n) is c (m, n).
struct Product {
  const float *a, *b;
  float* c;
  int m, n, k;

  Product(const View& a, const View& b, const View& c)
      : a(a.as<float>()),
        b(b.as<float>()),
        c(c.as<float>()),
        m(as_int(a.shape[0])),
        n(as_int(b.shape[1])),
        k(as_int(a.shape[1])) {
    for (const View* x : {&a, &b, &c}) as_int(x->size());
  }
};

/// in (rows, columns), out (columns, rows). As in the slot copy(), `x` is `in` already transposed:
/// a view of shape (columns, rows) with strides (1, columns).
struct Matrix {
  const float* in;
  float* out;
  int rows, columns;

  Matrix(const View& x, const View& out)
      : in(x.as<float>()),
        out(out.as<float>()),
        rows(as_int(x.shape[1])),
        columns(as_int(x.shape[0])) {
    as_int(x.size());
  }
};

/// x and y (rows, n).
struct Table {
  const float* x;
  float* y;
  int rows, n;

  Table(const View& x, const View& y) : x(x.as<float>()), y(y.as<float>()) {
    const int last = x.ndim() - 1;
    n = as_int(x.shape[last]);
    rows = n == 0 ? 0 : as_int(x.size()) / n;
  }
};

__device__ __host__ inline int ceil_div(int a, int b) { return a / b + (a % b != 0); }

}  // namespace needle::NEEDLE_GPU::ladder
