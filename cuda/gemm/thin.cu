// The host's side of thin.cuh and thin_half.cuh.  (Lesson 04)
#include "cuda/device.h"
#include "cuda/gemm/gemm.h"
#include "cuda/gemm/thin.cuh"
#ifdef __CUDACC__
#include "cuda/gemm/thin_half.cuh"
#endif

namespace needle::NEEDLE_GPU {
namespace thin {
namespace {

/// Lines begin on 16 bytes and consist of pieces of 16 bytes.
bool pieces(Matrices<const void*> x, Along along, int64_t side, int64_t k, int64_t size) {
  const int64_t neighbours = along == Along::k ? k : side;
  const int64_t stride = along == Along::k ? x.row : x.column;
  return (along == Along::k ? x.column : x.row) == 1 && neighbours * size % 16 == 0 &&
         stride * size % 16 == 0 && x.batch * size % 16 == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

/// Cuts k so that enough blocks read W at the same time, and launches.
/// run(target, out type, task, blocks).
template <class Out, class Run>
void cut(const Problem& p, int columns, const Run& run) {
  const int64_t blocks = ceil_div(p.n, columns) * p.batch;
  const int64_t all = multiprocessors();
  // A block on most of the multiprocessors has enough loads under way; a second launch takes time.
  const int64_t wanted = blocks * 3 >= all * 2 ? 1 : choose_slices(p.k, blocks, 2 * all, 512);
  const Slices slices = even_slices(p.k, wanted, 256);
  const Task task = {static_cast<int>(p.m),
                     static_cast<int>(p.n),
                     static_cast<int>(p.k),
                     p.batch,
                     static_cast<int>(slices.depth),
                     p.a,
                     p.b};
  in_slices(p, slices.count, [&](const Problem& target) {
    const auto start = [&]<class To>(Tag<To>) {
      const auto& c = target.c;
      run(Matrices<To*>{static_cast<To*>(c.data), c.row, c.column, c.batch}, task,
          static_cast<unsigned>(blocks * slices.count));
    };
    slices.count == 1 ? start(Tag<Out>{}) : start(Tag<float>{});
  });
}

template <Along kAlong>
void multiply_floats(const Problem& p) {
  cut<float>(p, 32, [&](Matrices<float*> y, const Task& task, unsigned blocks) {
    const auto launch = [&]<int kRows>() {
      NEEDLE_LAUNCH((thin_float<kAlong, kRows>), blocks, 32 * kWarps, 0, task, y);
    };
    if (p.m == 1) return launch.template operator()<1>();
    if (p.m <= 4) return launch.template operator()<4>();
    if (p.m <= 8) return launch.template operator()<8>();
    launch.template operator()<16>();
  });
}

#ifdef __CUDACC__
template <class T, class Out, Along kAlong>
void multiply_half(const Problem& p) {
  cut<Out>(p, kColumns<kAlong>, [&]<class To>(Matrices<To*> y, const Task& task, unsigned blocks) {
    if (p.m <= 8) {
      NEEDLE_LAUNCH((thin_half<T, To, kAlong, 1>), blocks, 32 * kWarps, 0, task, y);
    } else {
      NEEDLE_LAUNCH((thin_half<T, To, kAlong, 2>), blocks, 32 * kWarps, 0, task, y);
    }
  });
}

template <class T>
void multiply_halves(const Problem& p, Along along) {
  const bool wide = p.out == DType::float32;
  if (along == Along::k) {
    return wide ? multiply_half<T, float, Along::k>(p) : multiply_half<T, T, Along::k>(p);
  }
  wide ? multiply_half<T, float, Along::side>(p) : multiply_half<T, T, Along::side>(p);
}
#endif

}  // namespace
}  // namespace thin

bool multiply_thin(const Problem& p) {
  using namespace thin;
  if (p.k == 0 || p.in == DType::float64) return false;
  if (p.m > kMostRows) return p.n <= kMostRows ? multiply_thin(p.transposed()) : false;
  const int64_t size = size_of(p.in);
  const Along along = p.b.row == 1 ? Along::k : Along::side;
  if (!pieces(p.a, Along::k, p.m, p.k, size) || !pieces(p.b.transposed(), along, p.n, p.k, size)) {
    return false;
  }
  if (p.in == DType::float32) {
    along == Along::k ? multiply_floats<Along::k>(p) : multiply_floats<Along::side>(p);
    return true;
  }
#ifdef __CUDACC__
  if (capability() >= 80) {
    p.in == DType::bfloat16 ? multiply_halves<bfloat16>(p, along)
                            : multiply_halves<float16>(p, along);
    return true;
  }
#endif
  return false;
}

}  // namespace needle::NEEDLE_GPU
