// The product of matrices: tiles in shared memory, sums in registers.  (Lesson 04)
//
// This kernel takes any strides and any dtype. On a GPU cuda/gemm comes first: it has faster ones for
// most products. The simulator, which counts and does not hurry, has this one alone.
#ifdef __CUDACC__
#include "cuda/gemm/gemm.h"
#include "cuda/gemm/views.h"
#endif
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/kernels/tile.cuh"

namespace needle::NEEDLE_GPU {
namespace {

/// Strides, in elements, of the last two axes of a, b and out.
struct Steps {
  int64_t a_row, a_k, b_k, b_column, row, column;
};

template <class Out, class T>
__global__ void matmul_kernel(const Product p, const Walk<3> batch, const Steps step,
                              unsigned row_tiles, unsigned column_tiles) {
  using Sum = SumOf<T>;
  unsigned block = blockIdx.x;
  const int64_t column = int64_t{block % column_tiles} * kSide;
  block /= column_tiles;
  const int64_t row = int64_t{block % row_tiles} * kSide;
  int64_t at[3];
  batch.locate(block / row_tiles, at);
  const T* a = reinterpret_cast<const T*>(batch.data[0] + at[0]);
  const T* b = reinterpret_cast<const T*>(batch.data[1] + at[1]);
  Out* out = reinterpret_cast<Out*>(batch.data[2] + at[2]);
  Sum sum[4][4];
  multiply_tile(
      p, row, column, step.a_k == 1, step.b_k == 1,
      [&](int64_t i, int64_t t) { return static_cast<Sum>(a[i * step.a_row + t * step.a_k]); },
      [&](int64_t t, int64_t j) { return static_cast<Sum>(b[t * step.b_k + j * step.b_column]); },
      sum);
  store_tile(p, row, column, sum, [&](int64_t i, int64_t j, Sum value) {
    out[i * step.row + j * step.column] = static_cast<Out>(value);
  });
}

/// x at index 0 of its last two axes.
View leading(const View& x) {
  View part = x;
  part.shape[x.ndim() - 1] = part.shape[x.ndim() - 2] = 1;
  return part;
}

void multiply_tiles(const View& a, const View& b, const View& out) {
  const int last = out.ndim() - 1;
  const int64_t k = a.shape[last];
  const Product p{out.shape[last - 1], out.shape[last], k, 0, k};
  const auto batch = walk(Order::row_major, leading(a), leading(b), leading(out));
  const Steps step{a.strides[last - 1], a.strides[last],       b.strides[last - 1],
                   b.strides[last],     out.strides[last - 1], out.strides[last]};
  const auto rows = static_cast<unsigned>(ceil_div(p.m, kSide));
  const auto columns = static_cast<unsigned>(ceil_div(p.n, kSide));
  const unsigned blocks = rows * columns * static_cast<unsigned>(batch.size);
  visit_dtype(a.dtype, [&]<class T>(Tag<T>) {
    if constexpr (is_half_v<T> || std::is_floating_point_v<T>) {
      if (out.dtype == a.dtype) {
        NEEDLE_LAUNCH((matmul_kernel<T, T>), blocks, kTileThreads, 0, p, batch, step, rows,
                      columns);
      } else if constexpr (is_half_v<T>) {
        NEEDLE_LAUNCH((matmul_kernel<float, T>), blocks, kTileThreads, 0, p, batch, step, rows,
                      columns);
      }
    }
  });
}

#ifdef __CUDACC__
template <class Pointer>
View view(const Matrices<Pointer>& x, DType dtype, const Problem& p, int64_t rows,
          int64_t columns) {
  return {const_cast<void*>(x.data), dtype, {p.batch, rows, columns}, {x.batch, x.row, x.column}};
}

/// One product after the other: false, and nothing done, if they are so many that a kernel for all
/// of them is faster.
bool multiply_each(const View& a, const View& b, const View& out) {
  const auto all = problems(a, b, out);
  if (all.size() > 16) return false;
  for (const Problem& p : all) {
    if (multiply(p)) continue;
    multiply_tiles(view(p.a, p.in, p, p.m, p.k), view(p.b, p.in, p, p.k, p.n),
                   view(p.c, p.out, p, p.m, p.n));
  }
  return true;
}
#endif

}  // namespace

void matmul(const View& a, const View& b, const View& out) {
  if (out.size() == 0) return;
#ifdef __CUDACC__
  if (multiply_each(a, b, out)) return;
#endif
  multiply_tiles(a, b, out);
}

}  // namespace needle::NEEDLE_GPU
