// Layer norm and RMS norm.  (Lessons 04 and 06)
//
// The limit is reading x once and writing out once.
#include "cuda/kernels/norm.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

/// What a row is normalised by: layer norm's mean and squared distance from it, without ever squaring x
/// itself, which would lose the variance where x is far from 0; and RMS norm's squares of x, with mean 0.
template <class T, bool layer>
struct Moments {
  T count = 0, mean = 0, square = 0;

  /// Of a row that is one chunk, with 0 behind its end.
  template <class S, class Sharing>
  __device__ void of_row(const Chunk<T, S>& x, int n, Sharing sharing) {
    if constexpr (layer) {
      T sum = 0;
#pragma unroll
      for (int i = 0; i < S::kItems; ++i) sum += x.at[i];
      mean = quotient(sharing.across_row(sum, T(0), Plus{}), static_cast<T>(n));
    }
    square = sharing.across_row(around(x, mean, 0, n), T(0), Plus{});
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
template <class T, class S, bool layer, class Sharing>
__global__ void __launch_bounds__(S::kAgain ? kKeptThreads : kRowThreads, 1)
    norm_kernel(const Rows<4> rows, bool keeps, bool has_mean, T eps, const Along<T> weight,
                const Along<T> bias) {
  if (row_index() - Sharing::rows_before() >= rows.count()) return;
  const Row<4> row(rows, row_index());
  const int n = row.n;
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
    moments.of_row(x, n, Sharing{});
  }
  const T variance = quotient(moments.square, static_cast<T>(n));
  const T mean = moments.mean, rstd = inverse_root(variance + eps);
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
  if (threadIdx.x > 0 || row_index() >= rows.count()) return;
  *row.template data<T>(2) = rstd;
  if (has_mean) *row.template data<T>(3) = mean;
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
    launch.narrow(rows.count(), most);
    visit_rows<T, most, false>(launch, [&]<class S, class Sharing>(S, Sharing) {
      visit_kind(kind, [&]<class Layer>(Layer) {
        NEEDLE_LAUNCH((norm_kernel<T, S, Layer::value, Sharing>), launch.grid, launch.block,
                      launch.kept, rows, launch.kept > 0, mean.data != nullptr, static_cast<T>(eps),
                      w, b);
      });
    });
  });
}

}  // namespace needle::NEEDLE_GPU
