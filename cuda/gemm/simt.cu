// The host's side of sgemm.cuh: which cut, which instructions to load with.  (Lesson 04)
#include "cuda/gemm/gemm.h"
#include "cuda/gemm/host.h"
#include "cuda/gemm/sgemm.cuh"

namespace needle::NEEDLE_GPU {
namespace simt {
namespace {

/// For numbers that are loaded one by one, which takes registers for more addresses, or have two
/// registers each.
template <class T>
using Scattered = Cut<64, 64, 8, sizeof(T) == 8 ? 32 : 64, 32, sizeof(T) == 8 ? 2 : 4>;

/// Four neighbours of every line can be loaded at once: lines begin on 16 bytes (of floats) and have
/// a multiple of four numbers.
template <class T>
bool fours(Matrices<const void*> x, Along along, int64_t side, int64_t k) {
  const int64_t neighbours = along == Along::k ? k : side;
  const int64_t stride = along == Along::k ? x.row : x.column;
  return (along == Along::k ? x.column : x.row) == 1 && neighbours % 4 == 0 && neighbours > 0 &&
         stride % 4 == 0 && x.batch % 4 == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % (4 * sizeof(T)) == 0;
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
    if (partial_bytes(p, slices) > p.workspace_bytes) break;
    if (cost<C>(p, slices) < cost<C>(p, best)) best = slices;
  }
  return best;
}

template <class T, class Sum, class Out, int kWidth, class C>
void launch(const Problem& p, Along along_a, Along along_b, int slices) {
  const int64_t tiles = ceil_div(p.m, C::kRows) * ceil_div(p.n, C::kColumns);
  if (slices == 0) slices = best_slices<C>(p);
  const int64_t depth = ceil_div(ceil_div(p.k, slices), C::kDepth) * C::kDepth;
  slices = p.k > 0 ? static_cast<int>(ceil_div(p.k, depth)) : 1;
  const auto start = [&]<Along kA, Along kB, class To>(const Problem& target) {
    const Matrices<To*> c = {static_cast<To*>(target.c.data), target.c.row, target.c.column,
                             target.c.batch};
    Task<T> task = {static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), p.batch,
                    static_cast<int>(depth), 8, false,
                    {static_cast<const T*>(p.a.data), p.a.row, p.a.column, p.a.batch},
                    {static_cast<const T*>(p.b.data), p.b.row, p.b.column, p.b.batch}};
    task.c_aligned = c.column == 1 && c.row % 4 == 0 && c.batch % 4 == 0 &&
                     reinterpret_cast<uintptr_t>(c.data) % alignof(Four<To>) == 0;
    const auto grid = static_cast<unsigned>(tiles * p.batch * slices);
    NEEDLE_LAUNCH((simt_kernel<T, Sum, To, kA, kB, kWidth, C>), grid, C::kThreads, 0, task, c);
  };
  const auto oriented = [&]<class To>(const Problem& target) {
    using enum Along;
    if (along_a == k && along_b == k) return start.template operator()<k, k, To>(target);
    if (along_a == k) return start.template operator()<k, side, To>(target);
    if (along_b == k) return start.template operator()<side, k, To>(target);
    start.template operator()<side, side, To>(target);
  };
  if (slices == 1) return oriented.template operator()<Out>(p);
  oriented.template operator()<Sum>(partial_sums(p));
  add_partial_sums(p, slices);
}

template <class T, class Sum, class Out>
void multiply_as(const Problem& p, SimtCut cut, int slices) {
  const Along along_a = p.a.row == 1 && p.a.column != 1 ? Along::side : Along::k;
  const Along along_b = p.b.column == 1 && p.b.row != 1 ? Along::side : Along::k;
  if constexpr (std::is_same_v<T, float>) {
    if (fours<T>(p.a, along_a, p.m, p.k) && fours<T>(p.b.transposed(), along_b, p.n, p.k)) {
      // A small tile needs more of the bandwidths, but a few large ones leave the GPU idle.
      if (cut == SimtCut::choose) {
        const bool large =
            cost<Large>(p, best_slices<Large>(p)) < cost<Small>(p, best_slices<Small>(p));
        cut = large ? SimtCut::large : SimtCut::small;
      }
      if (cut == SimtCut::wide) return launch<T, Sum, Out, 4, Wide>(p, along_a, along_b, slices);
      if (cut == SimtCut::large) return launch<T, Sum, Out, 4, Large>(p, along_a, along_b, slices);
      return launch<T, Sum, Out, 4, Small>(p, along_a, along_b, slices);
    }
  }
  launch<T, Sum, Out, 1, Scattered<T>>(p, along_a, along_b, slices);
}

}  // namespace
}  // namespace simt

void multiply_simt(const Problem& p, SimtCut cut, int slices) {
  using simt::multiply_as;
  if (p.m * p.n * p.batch == 0) return;
  // Rows of C should be the contiguous ones: seen from the side they are.
  if (p.c.column != 1 && p.c.row == 1) return multiply_simt(p.transposed(), cut, slices);
  if (p.in == DType::float64) return multiply_as<double, double, double>(p, cut, slices);
  if (p.in == DType::float32) return multiply_as<float, float, float>(p, cut, slices);
  if (p.in == DType::float16) {
    if (p.out == DType::float16) return multiply_as<float16, float, float16>(p, cut, slices);
    return multiply_as<float16, float, float>(p, cut, slices);
  }
  if (p.out == DType::bfloat16) return multiply_as<bfloat16, float, bfloat16>(p, cut, slices);
  multiply_as<bfloat16, float, float>(p, cut, slices);
}

}  // namespace needle::NEEDLE_GPU
