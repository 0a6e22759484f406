// The ladders of one instruction set: names, ideas, and what one step of the inner loop moves.
// (Lesson 04)
#include <iterator>

#include "needle/backend/cpu/ladder/tile.h"
#include "needle/backend/cpu/panels.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr double kFloat = sizeof(float);
constexpr double kLanes = kWidth<float>;
constexpr double kVector = kFloat * kLanes;  // bytes
// One step of a register tile: its part of A and of B is loaded, its part of C stays.
constexpr double tile_flops(double rows, double columns) { return 2 * rows * columns; }
constexpr double tile_bytes(double rows, double columns) { return kFloat * (rows + columns); }
constexpr double kOurFlops = tile_flops(kTileRows, kTileColumns);
constexpr double kOurBytes = tile_bytes(kTileRows, kTileColumns);
// The library's own tile.
constexpr double kFlops = tile_flops(kRows, kColumns<float>);
constexpr double kBytes = tile_bytes(kRows, kColumns<float>);

const Rung<decltype(Kernels::matmul)> kMatmul[] = {
    {"v1", "definition: for i, j, p", "needle/backend/cpu/ladder/matmul_v1.cc", matmul_v1, 2,
     2 * kFloat},
    {"v2", "other order: for i, p, j", "needle/backend/cpu/ladder/matmul_v2.cc", matmul_v2, 2,
     3 * kFloat},
    {"v3", "vectors (SIMD)", "needle/backend/cpu/ladder/matmul_v3.cc", matmul_v3, 2 * kLanes,
     3 * kVector},
    {"v4", "a tile of C in registers", "needle/backend/cpu/ladder/matmul_v4.cc", matmul_v4,
     kOurFlops, kOurBytes},
    {"v5", "blocks for the caches", "needle/backend/cpu/ladder/matmul_v5.cc", matmul_v5, kOurFlops,
     kOurBytes},
    {"v6", "packed in reading order", "needle/backend/cpu/ladder/matmul_v6.cc", matmul_v6,
     kOurFlops, kOurBytes},
    {"v7", "the library's gemm()", "needle/backend/cpu/ladder/matmul_v7.cc", matmul_v7, kFlops,
     kBytes},
    {"v8", "the library's slot: threads", "needle/backend/cpu/matmul.cc", matmul, kFlops, kBytes},
};

// Three passes: x; x and y; y and y. Five operations an element, an exponential counted as one.
const Rung<decltype(Kernels::softmax)> kSoftmax[] = {
    {"v1", "three passes, element by element", "needle/backend/cpu/ladder/softmax_v1.cc",
     softmax_v1, 5, 5 * kFloat},
    {"v2", "vectors, the exponential too", "needle/backend/cpu/ladder/softmax_v2.cc", softmax_v2,
     5 * kLanes, 5 * kVector},
    {"v3", "row by row, each in the cache", "needle/backend/cpu/ladder/softmax_v3.cc", softmax_v3,
     5 * kLanes, 5 * kVector},
    {"v4", "the library's slot: threads", "needle/backend/cpu/softmax.cc", softmax, 5 * kLanes,
     5 * kVector},
};

const Rung<decltype(Kernels::reduce)> kSum[] = {
    {"v1", "one element after the other", "needle/backend/cpu/ladder/sum_v1.cc", sum_v1, 1, kFloat},
    {"v2", "eight sums that do not wait", "needle/backend/cpu/ladder/sum_v2.cc", sum_v2, 8,
     8 * kFloat},
    {"v3", "one sum of vectors", "needle/backend/cpu/ladder/sum_v3.cc", sum_v3, kLanes, kVector},
    {"v4", "eight sums of vectors", "needle/backend/cpu/ladder/sum_v4.cc", sum_v4, 8 * kLanes,
     8 * kVector},
    {"v5", "pieces of 4096, then float64", "needle/backend/cpu/ladder/sum_v5.cc", sum_v5,
     8 * kLanes, 8 * kVector},
    {"v6", "the library's slot: threads", "needle/backend/cpu/reduce.cc", reduce, 4 * kLanes,
     4 * kVector},
};

}  // namespace

extern const Ladders ladders;
const Ladders ladders = {
    .matmul = {kMatmul, std::size(kMatmul)},
    .softmax = {kSoftmax, std::size(kSoftmax)},
    .sum = {kSum, std::size(kSum)},
};

}  // namespace needle::NEEDLE_ISA
