// The gradients of layer norm and RMS norm.  (Lessons 04 and 06)
#include "cuda/kernels/norm_backward.cuh"

#include "cuda/kernels/clusters.h"
#include "cuda/kernels/slots.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

// Longer rows, where no cluster can share them, would be read once for their means, once for dx and once
// for dweight and dbias. The last two are one pass if it goes along columns: two readings and a writing.

template <class T, class S, bool layer>
__global__ void __launch_bounds__(kRowThreads, 1)
    norm_means_kernel(const Rows<5> rows, const Along<T> weight, Means<T, layer>* out) {
  if (row_index() >= rows.count()) return;
  const Row<5> row(rows, row_index());
  Held<T, S, layer> held;
  Chunk<T, S> w;
  Means<T, layer> means = {};
  for (int begin = 0; begin < rows.n; begin += w.length()) {
    held.load(row, begin);
    weight.load(w, begin, rows.n, 1);
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) means.add(held.dy.at[i] * w.at[i], held.xhat(i));
  }
  RowOfBlock sharing;
  means.join_row(1 / static_cast<T>(rows.n), sharing);
  if (threadIdx.x == 0) out[row_index()] = means;
}

/// dx, and a group's sums of one column: (groups, n) each, if asked for. Threads beside each other take
/// columns beside each other, some rows at a time: all are asked for before the first is used.
template <class T, bool layer>
__global__ void norm_columns_kernel(const Rows<5> rows, const Along<T> weight,
                                    const Means<T, layer>* means, T* dweight, T* dbias) {
  constexpr int kAtOnce = 4;
  const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (j >= rows.n) return;
  const T w = weight.data ? weight.data[j * weight.step] : T(1);
  T dw = 0, db = 0;
  for (int64_t first = blockIdx.y; first < rows.count(); first += kAtOnce * int64_t{gridDim.y}) {
    T x[kAtOnce], dy[kAtOnce], mean[kAtOnce], rstd[kAtOnce];
    T* dx[kAtOnce];
    Means<T, layer> of_row[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int64_t r = first + k * int64_t{gridDim.y};
      if (r >= rows.count()) continue;
      const Row<5> row(rows, r);
      mean[k] = layer ? *row.template data<T>(4) : T(0);
      of_row[k] = means[r];
      rstd[k] = *row.template data<T>(3);
      x[k] = row.template data<T>(0)[j * rows.step[0]];  // minus the mean below: it is not here yet
      dy[k] = row.template data<T>(1)[j * rows.step[1]];
      dx[k] = row.template data<T>(2) + j * rows.step[2];
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * int64_t{gridDim.y} >= rows.count()) continue;
      const T xhat = (x[k] - mean[k]) * rstd[k];
      *dx[k] = of_row[k].slope(dy[k] * w, xhat, rstd[k]);
      dw += dy[k] * xhat;
      db += dy[k];
    }
  }
  if (dweight) dweight[blockIdx.y * rows.n + j] = dw;
  if (dbias) dbias[blockIdx.y * rows.n + j] = db;
}

/// out (n,) = the sum of the rows of a compact table (groups, n) of its dtype.
void sum_groups(void* table, int64_t groups, const View& out) {
  const int64_t n = out.shape[0];
  const View x{table, out.dtype, {groups, n}, {n, 1}};
  reduce(Reduce::sum, x, View{out.data, out.dtype, {1, n}, {0, out.strides[0]}});
}

}  // namespace

void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias) {
  if (x.shape.back() == 0) return;
  const Rows<5> rows = rows_of(x, dy, dx, rstd, kind == Norm::layer ? mean : rstd);
  const int64_t count = rows.count(), n = rows.n;
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 4>;
    const Along<T> w(weight);
    const bool packs = rows.fit(sizeof(T)) == Fit::packs && w.packs();
    RowLaunch launch(count, rows.n, most, sizeof(T), packs ? Fit::packs : Fit::single);
    if (launch.again) launch.share(most_blocks(), kRowThreads);
    launch.narrow(count, most, 128);
    // f(dweight, dbias) leaves a row of sums for each group behind.
    const auto sum_of = [&](int64_t groups, const auto& f) {
      const size_t bytes = static_cast<size_t>(groups * n) * sizeof(T);
      const Workspace weight_sums(dweight.data ? bytes : 0), bias_sums(dbias.data ? bytes : 0);
      if (count > 0) f(weight_sums.as<T>(), bias_sums.as<T>());
      if (dweight.data) sum_groups(weight_sums.as<T>(), groups, dweight);
      if (dbias.data) sum_groups(bias_sums.as<T>(), groups, dbias);
    };
    // As many groups as run at a time. (If none can, the launch says why.)
    const auto limit = [&](int64_t at_a_time) {
      launch.grid.x = static_cast<unsigned>(least(launch.grid.x, std::max<int64_t>(at_a_time, 1)));
    };
    if (launch.is_shared()) {
      const auto norm_backward_of_clusters = clusters::norm_backward_kernel_for<T>(kind);
      limit(resident(norm_backward_of_clusters, launch.block, launch.grid.y));
      return sum_of(launch.grid.x, [&](T* dw, T* db) {
        NEEDLE_LAUNCH_CLUSTERS((norm_backward_of_clusters), launch.grid, launch.block, rows, w, dw,
                               db);
      });
    }
    visit_kind(kind, [&]<class Layer>(Layer) {
      constexpr bool layer = Layer::value;
      visit_rows<T, most, false>(launch, [&]<class S, class Sharing>(S, Sharing) {
        if constexpr (S::kAgain) {
          const int64_t groups = least(count, 64);
          sum_of(groups, [&](T* dw, T* db) {
            const Workspace row_means(static_cast<size_t>(count) * sizeof(Means<T, layer>));
            auto* const means = row_means.as<Means<T, layer>>();
            NEEDLE_LAUNCH((norm_means_kernel<T, S, layer>), launch.grid, launch.block, 0, rows, w,
                          means);
            const dim3 grid(static_cast<unsigned>(ceil_div(n, 256)), static_cast<unsigned>(groups));
            NEEDLE_LAUNCH((norm_columns_kernel<T, layer>), grid, 256, 0, rows, w, means, dw, db);
          });
        } else {
          limit(resident(norm_backward_kernel<T, S, layer, Sharing>, launch.block));
          sum_of(least(count, int64_t{launch.grid.x} * launch.block.y), [&](T* dw, T* db) {
            NEEDLE_LAUNCH((norm_backward_kernel<T, S, layer, Sharing>), launch.grid, launch.block,
                          0, rows, w, dw, db);
          });
        }
      });
    });
  });
}

}  // namespace needle::NEEDLE_GPU
