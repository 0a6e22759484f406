// Layer norm and RMS norm.  (Lessons 04 and 06)
//
// The limit is reading x (and dy) once and writing out (dx) once.
#include "cuda/kernels/rows.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

/// A vector along the rows, or none.
template <class T>
struct Along {
  T* data;
  int64_t step;

  explicit Along(const View& x) : data(x.as<T>()), step(x.data ? x.strides[0] : 0) {}
  __device__ T at(int j, T otherwise) const { return data ? data[j * step] : otherwise; }
};

/// Operands: x, out; rstd, mean, one for each row. The variance is that of x - mean: the difference
/// of two means would lose it where x is far from 0.
template <class T, int kItems, bool kAgain, bool layer>
__global__ void __launch_bounds__(kRowThreads, 1)
    norm_kernel(const Rows<4> rows, bool has_mean, T eps, const Along<T> weight,
                const Along<T> bias) {
  if (row_index() >= rows.count()) return;
  const Row<4> row(rows, row_index());
  const int length = static_cast<int>(blockDim.x) * kItems, end = kAgain ? rows.n : 1;
  const T part = T(1) / static_cast<T>(rows.n);
  Chunk<T, kItems> chunk;
  const auto load = [&](int begin) {
    chunk.load(row.template data<T>(0), rows.step[0], begin, rows.n, 0);
  };
  if (!kAgain) load(0);
  T mean = 0;
  if (layer) {
    for (int begin = 0; begin < end; begin += length) {
      if (kAgain) load(begin);
#pragma unroll
      for (int i = 0; i < kItems; ++i) mean += chunk.at[i];
    }
    mean = across_row(mean, T(0), Plus{}) * part;
  }
  T square = 0;
  for (int begin = 0; begin < end; begin += length) {
    if (kAgain) load(begin);
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const T centred = chunk.place(begin, i) < rows.n ? chunk.at[i] - mean : T(0);
      square += centred * centred;
    }
  }
  const T rstd = 1 / std::sqrt(across_row(square, T(0), Plus{}) * part + eps);
  for (int begin = 0; begin < end; begin += length) {
    if (kAgain) load(begin);
    chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n, [&](int i, int j) {
      return (chunk.at[i] - mean) * rstd * weight.at(j, 1) + bias.at(j, 0);
    });
  }
  if (threadIdx.x > 0) return;
  *row.template data<T>(2) = rstd;
  if (has_mean) *row.template data<T>(3) = mean;
}

/// What norm_backward holds of a row: x and dy as they are in memory, and the row's statistics.
template <class T, int kItems, bool layer>
struct Held {
  Chunk<T, kItems> x, dy;
  T rstd, mean;

  __device__ void load(const Row<5>& row, int begin) {
    const Rows<5>& rows = row.rows;
    rstd = *row.template data<T>(3);
    mean = layer ? *row.template data<T>(4) : T(0);
    x.load(row.template data<T>(0), rows.step[0], begin, rows.n, 0);
    dy.load(row.template data<T>(1), rows.step[1], begin, rows.n, 0);
  }
  __device__ T xhat(int i) const { return (x.at[i] - mean) * rstd; }
};

/// Operands: x, dy, dx; rstd, mean, one for each row. A block takes rows far apart; while it works on
/// one, the next is on its way. If a row is one chunk, the block keeps what its rows add to dweight
/// and dbias: (groups, n) each, if asked for.
template <class T, int kItems, bool kAgain, bool layer>
__global__ void __launch_bounds__(kRowThreads, 1)
    norm_backward_kernel(const Rows<5> rows, const Along<T> weight, T* dweight, T* dbias) {
  const int length = static_cast<int>(blockDim.x) * kItems, end = kAgain ? rows.n : 1;
  const int64_t group = row_index(), groups = int64_t{gridDim.x} * blockDim.y;
  const T part = T(1) / static_cast<T>(rows.n);
  if (group >= rows.count()) return;
  T dweights[kItems] = {}, dbiases[kItems] = {};
  Held<T, kItems, layer> next;
  if (!kAgain) next.load(Row<5>(rows, group), 0);
  for (int64_t r = group; r < rows.count(); r += groups) {
    const Row<5> row(rows, r);
    Held<T, kItems, layer> held;
    if (!kAgain) {
      held = next;
      if (r + groups < rows.count()) next.load(Row<5>(rows, r + groups), 0);
    }
    const auto dxhat = [&](int i, int begin) {
      const int j = held.x.place(begin, i);
      return j < rows.n ? held.dy.at[i] * weight.at(j, 1) : T(0);
    };
    T product = 0, plain = 0;  // means over the row: of dxhat * xhat and, for layer norm, of dxhat
    for (int begin = 0; begin < end; begin += length) {
      if (kAgain) held.load(row, begin);
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        product += dxhat(i, begin) * held.xhat(i);
        plain += dxhat(i, begin);
      }
    }
    product = across_row(product, T(0), Plus{}) * part;
    plain = layer ? across_row(plain, T(0), Plus{}) * part : T(0);
    for (int begin = 0; begin < end; begin += length) {
      if (kAgain) held.load(row, begin);
      held.dy.store(row.template data<T>(2), rows.step[2], begin, rows.n, [&](int i, int) {
        return held.rstd * (dxhat(i, begin) - held.xhat(i) * product - plain);
      });
    }
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      dweights[i] += held.dy.at[i] * held.xhat(i);
      dbiases[i] += held.dy.at[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int j = next.x.place(0, i);
    if (kAgain || j >= rows.n) continue;
    if (dweight) dweight[group * rows.n + j] = dweights[i];
    if (dbias) dbias[group * rows.n + j] = dbiases[i];
  }
}

/// dweight and dbias of rows too long for one chunk: a group's sums of one column, (groups, n) each.
template <class T, bool layer>
__global__ void norm_columns_kernel(const Rows<5> rows, T* dweight, T* dbias) {
  const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (j >= rows.n) return;
  T dw = 0, db = 0;
  for (int64_t r = blockIdx.y; r < rows.count(); r += gridDim.y) {
    const Row<5> row(rows, r);
    const T mean = layer ? *row.template data<T>(4) : T(0);
    const T dy = row.template data<T>(1)[j * rows.step[1]];
    const T x = row.template data<T>(0)[j * rows.step[0]];
    dw += dy * (x - mean) * *row.template data<T>(3);
    db += dy;
  }
  if (dweight) dweight[blockIdx.y * rows.n + j] = dw;
  if (dbias) dbias[blockIdx.y * rows.n + j] = db;
}

/// f(is_layer), a std::bool_constant.
template <class F>
void visit_kind(Norm kind, F f) {
  if (kind == Norm::layer) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}

/// out (n,) = the sum of the rows of a compact table (groups, n) of its dtype.
void sum_groups(void* table, int64_t groups, const View& out) {
  const int64_t n = out.shape[0];
  const View x{table, out.dtype, {groups, n}, {n, 1}};
  reduce(Reduce::sum, x, View{out.data, out.dtype, {1, n}, {0, out.strides[0]}});
}

}  // namespace

void norm(Norm kind, double eps, const View& x, const View& weight, const View& bias,
          const View& out, const View& mean, const View& rstd) {
  if (rstd.size() == 0) return;
  const Rows<4> rows = rows_of(x, out, rstd, mean.data ? mean : rstd);
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 1>;
    const RowLaunch launch(rows.count(), rows.n, most);
    visit_launch<most>(launch, [&]<class I, class Again>(I, Again) {
      visit_kind(kind, [&]<class Layer>(Layer) {
        NEEDLE_LAUNCH((norm_kernel<T, I::value, Again::value, Layer::value>), launch.grid,
                      launch.block, 0, rows, mean.data != nullptr, static_cast<T>(eps),
                      Along<T>(weight), Along<T>(bias));
      });
    });
  });
}

void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias) {
  if (x.shape.back() == 0) return;
  const Rows<5> rows = rows_of(x, dy, dx, rstd, kind == Norm::layer ? mean : rstd);
  const int64_t count = rows.count(), n = rows.n;
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    constexpr int most = kMostItems<T, 4>;
    RowLaunch launch(count, rows.n, most);
    // As many groups as occupy the GPU: each leaves a row of sums behind.
    launch.grid.x = static_cast<unsigned>(least(launch.grid.x, launch.block.y > 1 ? 528 : 1056));
    const int64_t groups =
        launch.again ? least(count, 64) : least(count, int64_t{launch.grid.x} * launch.block.y);
    const size_t bytes = static_cast<size_t>(groups * n) * sizeof(T);
    const Workspace weight_sums(dweight.data ? bytes : 0), bias_sums(dbias.data ? bytes : 0);
    T* dw = weight_sums.as<T>();
    T* db = bias_sums.as<T>();
    visit_kind(kind, [&]<class Layer>(Layer) {
      if (count == 0) return;
      visit_launch<most>(launch, [&]<class I, class Again>(I, Again) {
        NEEDLE_LAUNCH((norm_backward_kernel<T, I::value, Again::value, Layer::value>), launch.grid,
                      launch.block, 0, rows, Along<T>(weight), dw, db);
      });
      if (!launch.again || (!dw && !db)) return;
      const dim3 grid(static_cast<unsigned>(ceil_div(n, 256)), static_cast<unsigned>(groups));
      NEEDLE_LAUNCH((norm_columns_kernel<T, Layer::value>), grid, 256, 0, rows, dw, db);
    });
    if (dweight.data) sum_groups(dw, groups, dweight);
    if (dbias.data) sum_groups(db, groups, dbias);
  });
}

}  // namespace needle::NEEDLE_GPU
