// How the kernel of wgmma_kernel.cuh cuts a product.  (Lesson 04)
#pragma once

#include "cuda/gemm/partial.cuh"
#include "cuda/gemm/wgmma_sm90.h"

namespace needle::NEEDLE_GPU::hopper {

inline constexpr int kRows = 128;  // of a tile: 64 for each of two warpgroups
inline constexpr int kDepth = 64;  // of k, in one step: 128 bytes

/// About how many cycles the product takes with so wide tiles and so many slices: multiprocessors
/// take one tile after the other, and the last round may leave some of them without.
inline double cost(const Problem& p, int columns, int64_t slices) {
  const int64_t tiles = ceil_div(p.m, kRows) * ceil_div(p.n, columns) * p.batch * slices;
  const int64_t rounds = ceil_div(tiles, multiprocessors());
  const int64_t steps = ceil_div(ceil_div(p.k, kDepth), slices);
  const double step = columns == 256 ? 1024 : 560, begin_and_end = 2000;
  return static_cast<double>(rounds) * (static_cast<double>(steps) * step + begin_and_end) +
         slices_cost(p, slices);
}

/// Fills in what is 0 with what costs least.
inline WgmmaPlan complete(WgmmaPlan plan, const Problem& p) {
  WgmmaPlan best = plan;
  double least = 1e300;
  for (const int columns : {256, 128}) {
    if (plan.columns != 0 && columns != plan.columns) continue;
    for (int slices = 1; slices <= kMostSlices; ++slices) {
      if (plan.slices != 0 && slices != plan.slices) continue;
      if (slices > 1 && plan.slices == 0 && p.k / slices < 4 * kDepth) break;
      if (const double cycles = cost(p, columns, slices); cycles < least) {
        least = cycles;
        best.columns = columns, best.slices = slices;
      }
    }
  }
  const int64_t rows = ceil_div(p.m, kRows);
  const int64_t tiles = rows * ceil_div(p.n, best.columns) * p.batch * best.slices;
  if (plan.cluster == 0) best.cluster = rows % 2 == 0 && tiles >= multiprocessors() ? 2 : 1;
  if (plan.height == 0) best.height = 16 / best.cluster;
  return best;
}

}  // namespace needle::NEEDLE_GPU::hopper
