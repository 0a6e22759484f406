// The gradients of layer norm and RMS norm, for rows whose chunks registers hold.  (Lessons 04 and 06)
//
// The limit is reading x and dy once and writing dx once.
#pragma once

#include "cuda/kernels/norm.cuh"

namespace needle::NEEDLE_GPU {

/// What norm_backward holds of a row: x and dy as they are in memory, where dx goes, and the row's
/// statistics.
template <class T, class S, bool layer>
struct Held {
  Chunk<T, S> x, dy;
  T* dx;
  T rstd, mean;

  __device__ void load(const Row<5>& row, int begin) {
    const Rows<5>& rows = row.rows;
    dx = row.template data<T>(2);
    rstd = *row.template data<T>(3);
    mean = layer ? *row.template data<T>(4) : T(0);
    x.load(row.template data<T>(0), rows.step[0], begin, rows.n, 0);
    dy.load(row.template data<T>(1), rows.step[1], begin, rows.n, 0);
  }
  __device__ T xhat(int i) const { return (x.at[i] - mean) * rstd; }
};

/// What a row's gradient needs of the whole row: the means of dxhat * xhat and, for layer norm, of dxhat,
/// where dxhat is dy * weight.
template <class T>
struct Means {
  T product = 0, plain = 0;

  __device__ void add(T dxhat, T xhat) { product += dxhat * xhat, plain += dxhat; }
  /// From what the threads of a row of n have added up.
  template <class Sharing>
  __device__ void join_row(bool layer, int n, Sharing& sharing) {
    const T part = T(1) / static_cast<T>(n);
    product = across_row(product, T(0), Plus{});
    plain = layer ? across_row(plain, T(0), Plus{}) : T(0);
    *this = sharing.across_blocks(*this, [](const Means& a, const Means& b) {
      return Means{a.product + b.product, a.plain + b.plain};
    });
    product *= part, plain *= part;
  }
  __device__ T slope(T dxhat, T xhat, T rstd) const {
    return rstd * (dxhat - xhat * product - plain);
  }
};

/// Rows of one chunk, or one for each block of a cluster. Operands: x, dy, dx; rstd, mean, one for each
/// row. A block takes rows far apart; while it works on one, the next is on its way. (Of short rows a
/// thread has few items, and may have but few registers, so that more threads have room.) It keeps what
/// its rows add to dweight and dbias: (groups, n) each, if asked for.
template <class T, class S, bool layer, class Sharing>
__global__ void __launch_bounds__(kRowThreads, S::kItems * sizeof(T) > 16 ? 1 : 2)
    norm_backward_kernel(const Rows<5> rows, const Along<T> weight, T* dweight, T* dbias) {
  const int64_t group = row_index(), groups = int64_t{gridDim.x} * blockDim.y;
  if (group >= rows.count()) return;
  T dweights[S::kItems] = {}, dbiases[S::kItems] = {};
  Sharing sharing;
  Chunk<T, S> w;
  const int begin = sharing.rank() * w.length();
  weight.load(w, begin, rows.n, 1);
  Held<T, S, layer> next;
  next.load(Row<5>(rows, group), begin);
  sharing.begin();
  for (int64_t r = group; r < rows.count(); r += groups) {
    const Held<T, S, layer> held = next;
    if (r + groups < rows.count()) next.load(Row<5>(rows, r + groups), begin);
    const auto dxhat = [&](int i) { return held.dy.at[i] * w.at[i]; };
    Means<T> means;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) means.add(dxhat(i), held.xhat(i));
    means.join_row(layer, rows.n, sharing);
    held.dy.store(held.dx, rows.step[2], begin, rows.n,
                  [&](int i, int) { return means.slope(dxhat(i), held.xhat(i), held.rstd); });
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      dweights[i] += held.dy.at[i] * held.xhat(i);
      dbiases[i] += held.dy.at[i];
    }
  }
#pragma unroll
  for (int i = 0; i < S::kItems; ++i) {
    const int j = next.x.place(begin, i);
    if (j >= rows.n) continue;
    if (dweight) dweight[group * rows.n + j] = dweights[i];
    if (dbias) dbias[group * rows.n + j] = dbiases[i];
  }
}

}  // namespace needle::NEEDLE_GPU
