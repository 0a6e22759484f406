// The ladders of the GPU, and of the simulator: names, ideas, and where they stand.  (Lesson 04)
#include "cuda/kernels/slots.h"
#include "cuda/ladder/matmul_v1.cuh"
#include "cuda/ladder/matmul_v2.cuh"
#include "cuda/ladder/matmul_v3.cuh"
#include "cuda/ladder/matmul_v4.cuh"
#include "cuda/ladder/matmul_v5.cuh"
#include "cuda/ladder/matmul_v6.cuh"
#include "cuda/ladder/matmul_v7.cuh"
#include "cuda/ladder/reduction_v1.cuh"
#include "cuda/ladder/reduction_v2.cuh"
#include "cuda/ladder/reduction_v3.cuh"
#include "cuda/ladder/reduction_v4.cuh"
#include "cuda/ladder/softmax_v1.cuh"
#include "cuda/ladder/softmax_v2.cuh"
#include "cuda/ladder/softmax_v3.cuh"
#include "cuda/ladder/softmax_v4.cuh"
#include "cuda/ladder/transpose_v1.cuh"
#include "cuda/ladder/transpose_v2.cuh"
#include "cuda/ladder/transpose_v3.cuh"
#include "cuda/ladder/transpose_v4.cuh"

namespace needle::NEEDLE_GPU {
namespace {

template <class T, int N>
constexpr int count(const T (&)[N]) {
  return N;
}

// Tensor cores are instructions of the GPU, which the simulator does not have.
#ifdef __CUDACC__
constexpr auto* kOnTensorCores = &matmul;
#else
constexpr decltype(&matmul) kOnTensorCores = nullptr;
#endif

const Rung<decltype(Kernels::matmul)> kMatmul[] = {
    {"v1", "one thread a result", "cuda/ladder/matmul_v1.cuh", ladder::matmul_v1::run},
    {"v2", "coalesced", "cuda/ladder/matmul_v2.cuh", ladder::matmul_v2::run},
    {"v3", "tiles in shared memory", "cuda/ladder/matmul_v3.cuh", ladder::matmul_v3::run},
    {"v4", "4 x 4 results a thread", "cuda/ladder/matmul_v4.cuh", ladder::matmul_v4::run},
    {"v5", "no bank conflicts", "cuda/ladder/matmul_v5.cuh", ladder::matmul_v5::run},
    {"v6", "8 x 8, tiles of warps", "cuda/ladder/matmul_v6.cuh", ladder::matmul_v6::run},
    {"v7", "double buffering", "cuda/ladder/matmul_v7.cuh", ladder::matmul_v7::run},
    {"v8", "the library's slot", "cuda/kernels/matmul.cu", matmul},
    {.name = "v9",
     .idea = "the slot, tensor cores",
     .file = "cuda/kernels/matmul.cu",
     .run = kOnTensorCores,
     .dtype = DType::bfloat16},
};

const Rung<decltype(Kernels::copy)> kTranspose[] = {
    {"v1", "one number a thread", "cuda/ladder/transpose_v1.cuh", ladder::transpose_v1::run},
    {"v2", "a tile in shared memory", "cuda/ladder/transpose_v2.cuh", ladder::transpose_v2::run},
    {"v3", "a padded tile", "cuda/ladder/transpose_v3.cuh", ladder::transpose_v3::run},
    {"v4", "four numbers a thread", "cuda/ladder/transpose_v4.cuh", ladder::transpose_v4::run},
    {"v5", "the library's slot", "cuda/kernels/copy.cu", copy},
};

const Rung<decltype(Kernels::reduce)> kReduction[] = {
    {"v1", "an atomic a number", "cuda/ladder/reduction_v1.cuh", ladder::reduction_v1::run},
    {"v2", "a tree in shared memory", "cuda/ladder/reduction_v2.cuh", ladder::reduction_v2::run},
    {"v3", "shuffles", "cuda/ladder/reduction_v3.cuh", ladder::reduction_v3::run},
    {"v4", "many a thread, two stages", "cuda/ladder/reduction_v4.cuh", ladder::reduction_v4::run},
    {"v5", "the library's slot", "cuda/kernels/reduce.cu", reduce},
};

const Rung<decltype(Kernels::softmax)> kSoftmax[] = {
    {"v1", "a thread a row", "cuda/ladder/softmax_v1.cuh", ladder::softmax_v1::run},
    {"v2", "a warp a row", "cuda/ladder/softmax_v2.cuh", ladder::softmax_v2::run},
    {"v3", "two passes: online", "cuda/ladder/softmax_v3.cuh", ladder::softmax_v3::run},
    {"v4", "the row in registers", "cuda/ladder/softmax_v4.cuh", ladder::softmax_v4::run},
    {"v5", "the library's slot", "cuda/kernels/softmax.cu", softmax},
};

}  // namespace

extern const GpuLadders ladders;
const GpuLadders ladders = {
    .matmul = {kMatmul, count(kMatmul)},
    .transpose = {kTranspose, count(kTranspose)},
    .reduction = {kReduction, count(kReduction)},
    .softmax = {kSoftmax, count(kSoftmax)},
};

}  // namespace needle::NEEDLE_GPU
