// The host's side of sgemm.cuh: which cut, how many slices.  (Lesson 04)
#include "cuda/gemm/sgemm.cuh"

#include "cuda/device.h"
#include "cuda/gemm/gemm.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace sgemm {
namespace {

using Large = Cut<128, 128, 8, 64, 64, 4, 2>;
using Small = Cut<64, 64, 8, 64, 32, 4, 6>;

/// Four neighbours of every line along the side can be copied at once.
bool fours(Matrices<const void*> x, int64_t sides) {
  return x.row == 1 && sides % 4 == 0 && x.column % 4 == 0 && x.batch % 4 == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

Matrices<const float*> floats(Matrices<const void*> x) {
  return {static_cast<const float*>(x.data), x.row, x.column, x.batch};
}

/// About how many cycles a product takes, cut so: the multiprocessor with the most tiles decides.
/// With few warps at a time there is waiting that no other warp's work hides.
template <class C>
double cost(const Problem& p, int64_t slices) {
  const int64_t tiles = ceil_div(p.m, C::kRows) * ceil_div(p.n, C::kColumns) * p.batch * slices;
  const int64_t most = ceil_div(tiles, multiprocessors());
  const int64_t warps = (most < C::kResident ? most : C::kResident) * C::kThreads / 32;
  const double full = C::kSumColumns == 16 ? 0.75 : 0.68;
  const double rate = 128 * full * (warps >= 8 ? 1 : 0.6);  // multiply-adds a cycle
  const double work = static_cast<double>(most * C::kRows * C::kColumns);
  return work * (static_cast<double>(p.k) / static_cast<double>(slices) + 60) / rate +
         slices_cost(p, slices);
}

/// The number of slices that costs least.
template <class C>
int best_slices(const Problem& p) {
  int best = 1;
  for (int slices = 2; slices <= kMostSlices && p.k / slices >= 128; ++slices) {
    if (cost<C>(p, slices) < cost<C>(p, best)) best = slices;
  }
  return best;
}

template <class C>
void launch(const Problem& p, int wanted_slices) {
  const Slices slices =
      even_slices(p.k, wanted_slices > 0 ? wanted_slices : best_slices<C>(p), C::kDepth);
  const int64_t tiles = ceil_div(p.m, C::kRows) * ceil_div(p.n, C::kColumns);
  const auto grid = static_cast<unsigned>(tiles * p.batch * slices.count);
  in_slices(p, slices.count, [&](const Problem& target) {
    const auto& c = target.c;
    Task task = {static_cast<int>(p.m),
                 static_cast<int>(p.n),
                 static_cast<int>(p.k),
                 p.batch,
                 static_cast<int>(slices.depth),
                 8,
                 false,
                 floats(p.a),
                 floats(p.b),
                 {static_cast<float*>(c.data), c.row, c.column, c.batch}};
    task.c_aligned = c.column == 1 && c.row % 4 == 0 && c.batch % 4 == 0 &&
                     reinterpret_cast<uintptr_t>(c.data) % 16 == 0;
    const auto start = [&]<Along kA, Along kB>() {
      NEEDLE_LAUNCH((sgemm_kernel<kA, kB, C>), grid, C::kThreads, C::kSharedBytes, task);
    };
    using enum Along;
    const bool a = fours(p.a, p.m), b = fours(p.b.transposed(), p.n);
    if (a && b) return start.template operator()<side, side>();
    if (a) return start.template operator()<side, k>();
    if (b) return start.template operator()<k, side>();
    start.template operator()<k, k>();
  });
}

}  // namespace
}  // namespace sgemm

bool multiply_float(const Problem& p, SgemmCut cut, int slices) {
  using namespace sgemm;
  if (p.in != DType::float32) return false;
  // Rows of C should be the contiguous ones: seen from the side they are.
  if (p.c.column != 1 && p.c.row == 1) return multiply_float(p.transposed(), cut, slices);
  if (cut == SgemmCut::choose) {
    // A small tile needs more of the bandwidths, but a few large ones leave the GPU idle.
    const bool large =
        cost<Large>(p, best_slices<Large>(p)) < cost<Small>(p, best_slices<Small>(p));
    cut = large ? SgemmCut::large : SgemmCut::small;
  }
  cut == SgemmCut::large ? launch<Large>(p, slices) : launch<Small>(p, slices);
  return true;
}

}  // namespace needle::NEEDLE_GPU
