// The host's side of mma.cuh.  (Lesson 04)
#include "cuda/gemm/mma.cuh"

#include "cuda/device.h"
#include "cuda/gemm/gemm.h"

namespace needle::NEEDLE_GPU {
namespace mma {
namespace {

/// x as (side, k): whether pieces of 16 bytes lie along one of its axes, and along which.
bool pieces(Matrices<const void*> x, Along* along) {
  *along = x.column == 1 ? Along::k : Along::side;
  const int64_t neighbour = *along == Along::k ? x.column : x.row;
  const int64_t stride = *along == Along::k ? x.row : x.column;
  return neighbour == 1 && stride % kPiece == 0 && x.batch % kPiece == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

template <class T, Along kA, Along kB>
void launch(const Task& task, int64_t blocks) {
  NEEDLE_LAUNCH((mma_kernel<T, kA, kB>), static_cast<unsigned>(blocks), kThreads, kSharedBytes,
                task);
}

template <class T>
void launch_type(const Task& task, Along along_a, Along along_b, int64_t blocks) {
  using enum Along;
  if (along_a == k && along_b == k) return launch<T, k, k>(task, blocks);
  if (along_a == k) return launch<T, k, side>(task, blocks);
  if (along_b == k) return launch<T, side, k>(task, blocks);
  launch<T, side, side>(task, blocks);
}

}  // namespace
}  // namespace mma

bool multiply_mma(const Problem& p, int wanted_slices) {
  using namespace mma;
  if (!is_half(p.in) || capability() < 80 || p.k == 0) return false;
  if (p.c.column != 1 && p.n != 1) {
    return p.c.row == 1 || p.m == 1 ? multiply_mma(p.transposed(), wanted_slices) : false;
  }
  Along along_a, along_b;
  if (!pieces(p.a, &along_a) || !pieces(p.b.transposed(), &along_b)) return false;
  const int64_t tiles = ceil_div(p.m, kTile) * ceil_div(p.n, kTile) * p.batch;
  if (wanted_slices == 0) {
    wanted_slices = static_cast<int>(choose_slices(p.k, tiles, 2 * multiprocessors(), 16 * kDepth));
  }
  const Slices slices = even_slices(p.k, wanted_slices, kDepth);
  in_slices(p, slices.count, [&](const Problem& target) {
    Task task = {static_cast<int>(p.m),
                 static_cast<int>(p.n),
                 static_cast<int>(p.k),
                 p.batch,
                 static_cast<int>(slices.depth),
                 8,
                 p.a,
                 p.b,
                 target.c,
                 target.out == DType::float32,
                 false};
    task.c_aligned = task.c.row % 2 == 0 && task.c.batch % 2 == 0 &&
                     reinterpret_cast<uintptr_t>(task.c.data) % (2 * size_of(target.out)) == 0;
    const int64_t blocks = tiles * slices.count;
    p.in == DType::bfloat16 ? launch_type<bfloat16>(task, along_a, along_b, blocks)
                            : launch_type<float16>(task, along_a, along_b, blocks);
  });
  return true;
}

}  // namespace needle::NEEDLE_GPU
