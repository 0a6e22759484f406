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
  int n;
  T rstd, mean;

  __device__ void load(const Row<5>& row, int begin) {
    const Rows<5>& rows = row.rows;
    n = row.n;
    dx = row.template data<T>(2);
    rstd = *row.template data<T>(3);
    mean = layer ? *row.template data<T>(4) : T(0);
    x.load(row.template data<T>(0), rows.step[0], begin, n, 0);
    dy.load(row.template data<T>(1), rows.step[1], begin, n, 0);
  }
  __device__ T xhat(int i) const { return (x.at[i] - mean) * rstd; }
};

/// What a row's gradient needs of the whole row: the means of dxhat * xhat and, for layer norm, of dxhat,
/// where dxhat is dy * weight.
template <class T, bool layer>
struct Means {
  T product, plain;

  __device__ void add(T dxhat, T xhat) { product += dxhat * xhat, plain += layer ? dxhat : T(0); }
  __device__ Means operator+(Means other) const {
    return {product + other.product, layer ? plain + other.plain : T(0)};
  }
  /// From what the threads of a row have added up; `part` is one by the number of its elements.
  template <class Sharing>
  __device__ void join_row(T part, Sharing& sharing) {
    const Means sum = sharing.across_row(*this, Means{}, Plus{});
    product = sum.product * part, plain = sum.plain * part;
  }
  __device__ T slope(T dxhat, T xhat, T rstd) const {
    return rstd * (dxhat - xhat * product - plain);
  }
};

template <class T, bool layer>
__device__ Means<T, layer> from_lane(Means<T, layer> x, int other) {
  return {from_lane(x.product, other), layer ? from_lane(x.plain, other) : T(0)};
}

/// Rows of one chunk, or one for each block of a cluster. Operands: x, dy, dx; rstd, mean, one for each
/// row. Who has a row takes more, far apart; while the threads work on one, the next is on its way. They
/// keep what their rows add to dweight and dbias: (groups, n) each, if asked for.
template <class T, class S, bool layer, class Sharing>
__global__ void __launch_bounds__(kRowThreads, 1)
    norm_backward_kernel(const Rows<5> rows, const Along<T> weight, T* dweight, T* dbias) {
  const int64_t group = row_index(), groups = int64_t{gridDim.x} * blockDim.y;
  const int before = Sharing::rows_before();
  if (group - before >= rows.count()) return;
  T dweights[S::kItems] = {}, dbiases[S::kItems] = {};
  const T part = 1 / static_cast<T>(rows.n);
  Sharing sharing;
  Chunk<T, S> w;
  const int begin = sharing.rank() * w.length();
  weight.load(w, begin, rows.n, 1);
  Held<T, S, layer> next;
  next.load(Row<5>(rows, group), begin);
  sharing.begin();
  for (int64_t r = group; r - before < rows.count(); r += groups) {
    const Held<T, S, layer> held = next;
    if (r - before + groups < rows.count()) next.load(Row<5>(rows, r + groups), begin);
    const auto dxhat = [&](int i) { return held.dy.at[i] * w.at[i]; };
    Means<T, layer> means = {};
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) means.add(dxhat(i), held.xhat(i));
    means.join_row(part, sharing);
    held.dy.store(held.dx, rows.step[2], begin, held.n,
                  [&](int i, int) { return means.slope(dxhat(i), held.xhat(i), held.rstd); });
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      dweights[i] += held.dy.at[i] * held.xhat(i);
      dbiases[i] += held.dy.at[i];
    }
  }
  if (group >= rows.count()) return;
  const auto store = [&](T* table, const T* sums) {
    if (table)
      w.store(table + group * rows.n, 1, begin, rows.n, [&](int i, int) { return sums[i]; });
  };
  store(dweight, dweights);
  store(dbias, dbiases);
}

}  // namespace needle::NEEDLE_GPU
