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

  /// Whether its packs are whole ones, too.
  bool packs() const { return !data || (step == 1 && reinterpret_cast<uintptr_t>(data) % 16 == 0); }
  template <class S>
  __device__ void load(Chunk<T, S>& to, int begin, int n, T otherwise) const {
    to.load(data, step, begin, data ? n : 0, otherwise);
  }
};

/// What a row is normalised by: layer norm's mean and squared distance from it, without ever squaring x
/// itself, which would lose the variance where x is far from 0; and RMS norm's squares of x, with mean 0.
template <class T, bool layer>
struct Moments {
  T count = 0, mean = 0, square = 0;

  /// Of a row that is one chunk, with 0 behind its end.
  template <class S>
  __device__ void of_row(const Chunk<T, S>& x, int n) {
    if constexpr (layer) {
      T sum = 0;
#pragma unroll
      for (int i = 0; i < S::kItems; ++i) sum += x.at[i];
      mean = quotient(across_row(sum, T(0), Plus{}), static_cast<T>(n));
    }
    square = across_row(around(x, mean, 0, n), T(0), Plus{});
  }
  /// Takes in those of a chunk that are inside of the row. Joined as by Chan, Golub & LeVeque,
  /// "Algorithms for computing the sample variance", The American Statistician 37 (1983).
  template <class S>
  __device__ void add(const Chunk<T, S>& x, int begin, int n) {
    if constexpr (!layer) {
      square += around(x, T(0), begin, n);
      return;
    }
    T sum = 0, more = 0;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      if (x.place(begin, i) < n) sum += x.at[i], more += 1;
    }
    if (more == 0) return;
    const T centre = quotient(sum, more);
    const T apart = centre - mean, part = quotient(more, count + more);
    square += around(x, centre, begin, n) + apart * count * part * apart;
    mean += apart * part;
    count += more;
  }
  /// What the threads of a row of n found, together.
  __device__ void join_row(int n) {
    T apart = 0;
    if constexpr (layer) {
      const T all = quotient(across_row(mean * count, T(0), Plus{}), static_cast<T>(n));
      apart = mean - all;
      mean = all;
    }
    square = across_row(square + apart * apart * count, T(0), Plus{});
  }

 private:
  template <class S>
  __device__ static T around(const Chunk<T, S>& x, T centre, int begin, int n) {
    T sum = 0;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      const T distance = !layer || x.place(begin, i) < n ? x.at[i] - centre : T(0);
      sum += distance * distance;
    }
    return sum;
  }
};

/// Operands: x, out; rstd, mean, one for each row.
template <class T, class S, bool layer>
__global__ void __launch_bounds__(S::kAgain ? kKeptThreads : kRowThreads, 1)
    norm_kernel(const Rows<4> rows, bool keeps, bool has_mean, T eps, const Along<T> weight,
                const Along<T> bias) {
  if (row_index() >= rows.count()) return;
  const Row<4> row(rows, row_index());
  const int n = rows.n;
  NEEDLE_DYNAMIC_SHARED(T, shared);
  const Kept<T> kept{keeps ? shared : nullptr, row.template data<T>(0), rows.step[0]};
  // The second pass over a row that is read again goes pack by pack: it holds weight and bias as well.
  using Part = std::conditional_t<S::kAgain, Share<S::kPack, S::kPack, true>, S>;
  Chunk<T, S> x;
  Chunk<T, Part> w, b;
  const auto load_affine = [&](int begin) {
    weight.load(w, begin, n, 1);
    bias.load(b, begin, n, 0);
  };
  Moments<T, layer> moments;
  if constexpr (S::kAgain) {
    for (int begin = 0; begin < n; begin += x.length()) {
      x.load(kept.row, kept.step, begin, n, 0);
      kept.put(x, begin, n);
      moments.add(x, begin, n);
    }
    moments.join_row(n);
  } else {
    load_affine(0);  // on their way while the sums are made
    x.load(kept.row, kept.step, 0, n, 0);
    moments.of_row(x, n);
  }
  const T mean = moments.mean, rstd = 1 / std::sqrt(moments.square / static_cast<T>(n) + eps);
  const auto store = [&](const Chunk<T, Part>& part, int begin) {
    part.store(row.template data<T>(1), rows.step[1], begin, n,
               [&](int i, int) { return (part.at[i] - mean) * rstd * w.at[i] + b.at[i]; });
  };
  if constexpr (S::kAgain) {
    Chunk<T, Part> part;
#pragma unroll 4
    for (int begin = 0; begin < n; begin += part.length()) {
      load_affine(begin);
      kept.get(part, begin, n);
      store(part, begin);
    }
  } else {
    store(x, 0);
  }
  if (threadIdx.x > 0) return;
  *row.template data<T>(2) = rstd;
  if (has_mean) *row.template data<T>(3) = mean;
}

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
  __device__ void join_row(bool layer, int n) {
    const T part = T(1) / static_cast<T>(n);
    product = across_row(product, T(0), Plus{}) * part;
    plain = layer ? across_row(plain, T(0), Plus{}) * part : T(0);
  }
  __device__ T slope(T dxhat, T xhat, T rstd) const {
    return rstd * (dxhat - xhat * product - plain);
  }
};

/// Rows of one chunk. Operands: x, dy, dx; rstd, mean, one for each row. A block takes rows far apart;
/// while it works on one, the next is on its way. (Of short rows a thread has few items, and may have
/// but few registers, so that more threads have room.) It keeps what its rows add to dweight and dbias:
/// (groups, n) each, if asked for.
template <class T, class S, bool layer>
__global__ void __launch_bounds__(kRowThreads, S::kItems * sizeof(T) > 16 ? 1 : 2)
    norm_backward_kernel(const Rows<5> rows, const Along<T> weight, T* dweight, T* dbias) {
  const int64_t group = row_index(), groups = int64_t{gridDim.x} * blockDim.y;
  if (group >= rows.count()) return;
  T dweights[S::kItems] = {}, dbiases[S::kItems] = {};
  Chunk<T, S> w;
  weight.load(w, 0, rows.n, 1);
  Held<T, S, layer> next;
  next.load(Row<5>(rows, group), 0);
  for (int64_t r = group; r < rows.count(); r += groups) {
    const Held<T, S, layer> held = next;
    if (r + groups < rows.count()) next.load(Row<5>(rows, r + groups), 0);
    const auto dxhat = [&](int i) { return held.dy.at[i] * w.at[i]; };
    Means<T> means;
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) means.add(dxhat(i), held.xhat(i));
    means.join_row(layer, rows.n);
    held.dy.store(held.dx, rows.step[2], 0, rows.n,
                  [&](int i, int) { return means.slope(dxhat(i), held.xhat(i), held.rstd); });
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      dweights[i] += held.dy.at[i] * held.xhat(i);
      dbiases[i] += held.dy.at[i];
    }
  }
#pragma unroll
  for (int i = 0; i < S::kItems; ++i) {
    const int j = next.x.place(0, i);
    if (j >= rows.n) continue;
    if (dweight) dweight[group * rows.n + j] = dweights[i];
    if (dbias) dbias[group * rows.n + j] = dbiases[i];
  }
}

// Longer rows would be read once for their means, once for dx and once for dweight and dbias. The last
// two are one pass if it goes along columns: two readings and a writing.

template <class T, class S, bool layer>
__global__ void __launch_bounds__(kRowThreads, 1)
    norm_means_kernel(const Rows<5> rows, const Along<T> weight, Means<T>* out) {
  if (row_index() >= rows.count()) return;
  const Row<5> row(rows, row_index());
  Held<T, S, layer> held;
  Chunk<T, S> w;
  Means<T> means;
  for (int begin = 0; begin < rows.n; begin += w.length()) {
    held.load(row, begin);
    weight.load(w, begin, rows.n, 1);
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) means.add(held.dy.at[i] * w.at[i], held.xhat(i));
  }
  means.join_row(layer, rows.n);
  if (threadIdx.x == 0) out[row_index()] = means;
}

/// dx, and a group's sums of one column: (groups, n) each, if asked for. Threads beside each other take
/// columns beside each other, some rows at a time: all are asked for before the first is used.
template <class T, bool layer>
__global__ void norm_columns_kernel(const Rows<5> rows, const Along<T> weight,
                                    const Means<T>* means, T* dweight, T* dbias) {
  constexpr int kAtOnce = 4;
  const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (j >= rows.n) return;
  const T w = weight.data ? weight.data[j * weight.step] : T(1);
  T dw = 0, db = 0;
  for (int64_t first = blockIdx.y; first < rows.count(); first += kAtOnce * int64_t{gridDim.y}) {
    T x[kAtOnce], dy[kAtOnce], mean[kAtOnce], rstd[kAtOnce];
    T* dx[kAtOnce];
    Means<T> of_row[kAtOnce];
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
    const Along<T> w(weight), b(bias);
    const bool packs = rows.fit(sizeof(T)) == Fit::packs && w.packs() && b.packs();
    RowLaunch launch(rows.count(), rows.n, most, sizeof(T), packs ? Fit::packs : Fit::single);
    launch.keep(sizeof(T), kKeptThreads);
    visit_share<T, most, false>(launch, [&]<class S>(S) {
      visit_kind(kind, [&]<class Layer>(Layer) {
        NEEDLE_LAUNCH((norm_kernel<T, S, Layer::value>), launch.grid, launch.block, launch.kept,
                      rows, launch.kept > 0, mean.data != nullptr, static_cast<T>(eps), w, b);
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
    const Along<T> w(weight);
    const bool packs = rows.fit(sizeof(T)) == Fit::packs && w.packs();
    RowLaunch launch(count, rows.n, most, sizeof(T), packs ? Fit::packs : Fit::single);
    // As many groups as occupy the GPU: each leaves a row of sums behind.
    launch.grid.x = static_cast<unsigned>(least(launch.grid.x, launch.block.y > 1 ? 528 : 1056));
    const int64_t groups =
        launch.again ? least(count, 64) : least(count, int64_t{launch.grid.x} * launch.block.y);
    const size_t bytes = static_cast<size_t>(groups * n) * sizeof(T);
    const Workspace weight_sums(dweight.data ? bytes : 0), bias_sums(dbias.data ? bytes : 0);
    T* dw = weight_sums.as<T>();
    T* db = bias_sums.as<T>();
    const Workspace row_means(launch.again ? static_cast<size_t>(count) * sizeof(Means<T>) : 0);
    auto* const means = row_means.as<Means<T>>();
    visit_kind(kind, [&]<class Layer>(Layer) {
      if (count == 0) return;
      visit_share<T, most, false>(launch, [&]<class S>(S) {
        if constexpr (S::kAgain) {
          NEEDLE_LAUNCH((norm_means_kernel<T, S, Layer::value>), static_cast<unsigned>(count),
                        launch.block, 0, rows, w, means);
        } else {
          NEEDLE_LAUNCH((norm_backward_kernel<T, S, Layer::value>), launch.grid, launch.block, 0,
                        rows, w, dw, db);
        }
      });
      if (!launch.again) return;
      const dim3 grid(static_cast<unsigned>(ceil_div(n, 256)), static_cast<unsigned>(groups));
      NEEDLE_LAUNCH((norm_columns_kernel<T, Layer::value>), grid, 256, 0, rows, w, means, dw, db);
    });
    if (dweight.data) sum_groups(dw, groups, dweight);
    if (dbias.data) sum_groups(db, groups, dbias);
  });
}

}  // namespace needle::NEEDLE_GPU
