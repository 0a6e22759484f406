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
  __device__ T at(int64_t j, T otherwise) const { return data ? data[j * step] : otherwise; }
};

/// Operands: x, out; rstd, mean, one for each row. The variance is that of x - mean: the difference
/// of two means would lose it where x is far from 0.
template <class T, int kItems, bool layer>
__global__ void norm_kernel(const Rows<4> rows, bool has_mean, T eps, const Along<T> weight,
                            const Along<T> bias) {
  const Row<4> row(rows, int64_t{blockIdx.x} * blockDim.y + threadIdx.y);
  if (!row.exists()) return;
  const T* x = row.template data<T>(0);
  const int64_t length = int64_t{blockDim.x} * kItems;
  const bool again = !rows.is_one_chunk(kItems);
  Chunk<T, kItems> chunk;
  if (!again) chunk.load(x, rows.step[0], 0, rows.n, 0);
  T mean = 0;
  if (layer) {
    for (int64_t begin = 0; begin < rows.n; begin += length) {
      if (again) chunk.load(x, rows.step[0], begin, rows.n, 0);
#pragma unroll
      for (int i = 0; i < kItems; ++i) mean += chunk.at[i];
    }
    mean = across_row(mean, T(0), Plus{}) / rows.n;
  }
  T square = 0;
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    if (again) chunk.load(x, rows.step[0], begin, rows.n, 0);
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const bool inside = begin + threadIdx.x + i * int64_t{blockDim.x} < rows.n;
      const T centred = inside ? chunk.at[i] - mean : T(0);
      square += centred * centred;
    }
  }
  const T rstd = 1 / std::sqrt(across_row(square, T(0), Plus{}) / rows.n + eps);
  for (int64_t begin = 0; begin < rows.n; begin += length) {
    if (again) chunk.load(x, rows.step[0], begin, rows.n, 0);
    chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n, [&](int i, int64_t j) {
      return (chunk.at[i] - mean) * rstd * weight.at(j, 1) + bias.at(j, 0);
    });
  }
  if (threadIdx.x > 0) return;
  *row.template data<T>(2) = rstd;
  if (has_mean) *row.template data<T>(3) = mean;
}

/// The sums over each row that dx needs: of dxhat * xhat and, for layer norm, of dxhat.
template <class T>
struct Sums {
  T product = 0, plain = 0;
};

/// Operands: x, dy, dx; rstd, mean, one for each row. A block takes rows far apart, and where a row is
/// one chunk, keeps what they add to dweight and dbias: (groups, n) each, if asked for.
template <class T, int kItems, bool layer>
__global__ void norm_backward_kernel(const Rows<5> rows, const Along<T> weight, T* dweight,
                                     T* dbias) {
  const int64_t length = int64_t{blockDim.x} * kItems;
  const bool again = !rows.is_one_chunk(kItems);
  const int64_t group = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const int64_t groups = int64_t{gridDim.x} * blockDim.y;
  T dweights[kItems] = {}, dbiases[kItems] = {};
  for (int64_t r = group; r < rows.count(); r += groups) {
    const Row<5> row(rows, r);
    const T* x = row.template data<T>(0);
    const T* dy = row.template data<T>(1);
    const T rstd = *row.template data<T>(3);
    const T mean = layer ? *row.template data<T>(4) : T(0);
    Chunk<T, kItems> xhat, dys;
    const auto load = [&](int64_t begin) {
      xhat.load(x, rows.step[0], begin, rows.n, mean);
      dys.load(dy, rows.step[1], begin, rows.n, 0);
#pragma unroll
      for (int i = 0; i < kItems; ++i) xhat.at[i] = (xhat.at[i] - mean) * rstd;
    };
    const auto scaled = [&](int i, int64_t begin) {  // dy * weight
      const int64_t j = begin + threadIdx.x + i * int64_t{blockDim.x};
      return j < rows.n ? dys.at[i] * weight.at(j, 1) : T(0);
    };
    Sums<T> sums;
    for (int64_t begin = 0; begin < rows.n; begin += length) {
      load(begin);
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        sums.product += scaled(i, begin) * xhat.at[i];
        sums.plain += scaled(i, begin);
      }
    }
    sums.product = across_row(sums.product, T(0), Plus{}) / rows.n;
    sums.plain = layer ? across_row(sums.plain, T(0), Plus{}) / rows.n : T(0);
    for (int64_t begin = 0; begin < rows.n; begin += length) {
      if (again) load(begin);
      dys.store(row.template data<T>(2), rows.step[2], begin, rows.n, [&](int i, int64_t) {
        return rstd * (scaled(i, begin) - xhat.at[i] * sums.product - sums.plain);
      });
    }
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      dweights[i] += dys.at[i] * xhat.at[i];
      dbiases[i] += dys.at[i];
    }
  }
  if (again || group >= rows.count()) return;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int64_t j = threadIdx.x + i * int64_t{blockDim.x};
    if (j < rows.n && dweight) dweight[group * rows.n + j] = dweights[i];
    if (j < rows.n && dbias) dbias[group * rows.n + j] = dbiases[i];
  }
}

/// dweight and dbias of rows too long for one chunk: a group's sums of one column, (groups, n) each.
template <class T, bool layer>
__global__ void norm_columns_kernel(const Rows<5> rows, T* dweight, T* dbias) {
  const int64_t j = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
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

/// f(Tag<T>{}, items, is_layer) with all three known to the compiler.
template <class F>
void visit_norm(DType t, int items, Norm kind, F f) {
  visit_floating(t, [&](auto tag) {
    visit_items(items, [&](auto known) {
      if (kind == Norm::layer) {
        f(tag, known, std::true_type{});
      } else {
        f(tag, known, std::false_type{});
      }
    });
  });
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
  const RowLaunch launch(rows.leading.size, rows.n);
  visit_norm(x.dtype, launch.items, kind, [&]<class T, class I, class Layer>(Tag<T>, I, Layer) {
    NEEDLE_LAUNCH((norm_kernel<T, I::value, Layer::value>), launch.grid, launch.block, 0, rows,
                  mean.data != nullptr, static_cast<T>(eps), Along<T>(weight), Along<T>(bias));
  });
}

void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias) {
  if (x.shape.back() == 0) return;
  const Rows<5> rows = rows_of(x, dy, dx, rstd, kind == Norm::layer ? mean : rstd);
  const int64_t count = rows.leading.size, n = rows.n;
  RowLaunch launch(count, n);
  // As many groups as occupy the GPU: each leaves a row of sums behind.
  launch.grid.x = static_cast<unsigned>(least(launch.grid.x, launch.block.y > 1 ? 512 : 1024));
  const bool long_rows = n > int64_t{launch.block.x} * launch.items;
  const int64_t groups =
      long_rows ? least(count, 64) : least(count, int64_t{launch.grid.x} * launch.block.y);
  const size_t bytes = static_cast<size_t>(groups * n * size_of(x.dtype));
  const Workspace weight_sums(dweight.data ? bytes : 0), bias_sums(dbias.data ? bytes : 0);
  visit_norm(x.dtype, launch.items, kind, [&]<class T, class I, class Layer>(Tag<T>, I, Layer) {
    if (count == 0) return;
    T* dw = dweight.data ? weight_sums.as<T>() : nullptr;
    T* db = dbias.data ? bias_sums.as<T>() : nullptr;
    NEEDLE_LAUNCH((norm_backward_kernel<T, I::value, Layer::value>), launch.grid, launch.block, 0,
                  rows, Along<T>(weight), dw, db);
    if (!long_rows || (!dw && !db)) return;
    const dim3 grid(static_cast<unsigned>(ceil_div(n, 256)), static_cast<unsigned>(groups));
    NEEDLE_LAUNCH((norm_columns_kernel<T, Layer::value>), grid, 256, 0, rows, dw, db);
  });
  if (dweight.data) sum_groups(weight_sums.as<void>(), groups, dweight);
  if (dbias.data) sum_groups(bias_sums.as<void>(), groups, dbias);
}

}  // namespace needle::NEEDLE_GPU
