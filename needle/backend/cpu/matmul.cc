// matmul: batches and threads.  (Lesson 04)
#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr int64_t kFlopsPerThread = 500000;  // at least; below, waking a thread costs more

template <class T, class S>
void multiply(int64_t m, int64_t n, int64_t k, Matrix<const S> a, Matrix<const S> b, Matrix<T> c) {
  if constexpr (std::is_same_v<T, S>) {
    if (thin<T>(m, n, k, a, b, c)) return;
    if (thin<T>(n, m, k, transposed(b), transposed(a), transposed(c))) return;
  }
  gemm<T, S>(m, n, k, a, b, c, false, true);
}

template <class T, class S>
void matmul_as(const View& a, const View& b, const View& out) {
  const int last = out.ndim() - 1;
  const int64_t m = out.shape[last - 1];
  const int64_t n = out.shape[last];
  const int64_t k = a.shape[last];
  int64_t batch = 1;
  for (int axis = 0; axis < last - 1; ++axis) batch *= out.shape[axis];
  if (m * n * batch == 0) return;

  const auto one = [&](int64_t index) {
    int64_t at[3] = {};
    for (int axis = last - 2; axis >= 0; --axis) {
      const int64_t i = index % out.shape[axis];
      index /= out.shape[axis];
      at[0] += i * a.strides[axis];
      at[1] += i * b.strides[axis];
      at[2] += i * out.strides[axis];
    }
    multiply<T, S>(m, n, k, {a.as<S>() + at[0], a.strides[last - 1], a.strides[last]},
                   {b.as<S>() + at[1], b.strides[last - 1], b.strides[last]},
                   {out.as<T>() + at[2], out.strides[last - 1], out.strides[last]});
  };
  // Many small products: a thread takes whole ones. Inside, multiply() does not cut again.
  const int64_t grain = 1 + kFlopsPerThread / (2 * m * n * k + 1);
  if (batch < max_pieces()) {
    for (int64_t i = 0; i < batch; ++i) one(i);
  } else {
    parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) one(i);
    });
  }
}

/// The axes of x seen from the side.
View turned(View x) {
  const int last = x.ndim() - 1;
  const int64_t size = x.shape[last], stride = x.strides[last];
  x.shape[last] = x.shape[last - 1], x.strides[last] = x.strides[last - 1];
  x.shape[last - 1] = size, x.strides[last - 1] = stride;
  return x;
}

bool compact_columns(const View& x) { return x.strides.back() == 1 || x.shape.back() == 1; }

/// out = a b. Inputs of S are multiplied and added up as T, and rounded once if out is of S too.
template <class T, class S>
void matmul_of(const View& a, const View& b, const View& out) {
  if (out.dtype == dtype_for<T>()) {
    if (compact_columns(out)) return matmul_as<T, S>(a, b, out);
    // C^T = B^T A^T: a C with compact rows is one with compact columns, seen from the side.
    if (const View side = turned(out); compact_columns(side)) {
      return matmul_as<T, S>(turned(b), turned(a), side);
    }
  }
  // Neither, or of two bytes: compute into compact scratch memory, then copy.
  View aside = out;
  aside.dtype = dtype_for<T>();
  aside = compact_scratch(aside, 3);
  matmul_as<T, S>(a, b, aside);
  copy(aside, out);
}

}  // namespace

void matmul(const View& a, const View& b, const View& out) {
  switch (a.dtype) {
    case DType::float16: return matmul_of<float, float16>(a, b, out);
    case DType::bfloat16: return matmul_of<float, bfloat16>(a, b, out);
    case DType::float32: return matmul_of<float, float>(a, b, out);
    default: return matmul_of<double, double>(a, b, out);
  }
}

}  // namespace needle::NEEDLE_ISA
