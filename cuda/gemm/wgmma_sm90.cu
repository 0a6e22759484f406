// The host's side of wgmma_kernel.cuh: tensor maps, the plan, the launch.  (Lesson 04)
//
// This file alone is compiled for sm_90a, with NEEDLE_SM90A defined; without, it only declines.
#include "cuda/gemm/wgmma_sm90.h"

#ifdef NEEDLE_SM90A
#include "cuda/device.h"
#include "cuda/gemm/partial.cuh"
#include "cuda/gemm/wgmma_kernel.cuh"
#include "cuda/gemm/wgmma_plan.h"

namespace needle::NEEDLE_GPU {
namespace hopper {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

/// The driver's function, asked for by name: so nothing has to be linked with libcuda.
Encode encode_function() {
  static const Encode function = [] {
    void* f = nullptr;
    cudaDriverEntryPointQueryResult found;
    const cudaError_t e = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000,
                                                           cudaEnableDefault, &found);
    return e == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(f)
                                                                    : nullptr;
  }();
  return function;
}

/// An input with its neighbours along `Along`: x counts those, y the other axis.
struct Input {
  Matrices<const void*> matrices;
  int64_t side, k;
  Along along;
  int64_t stride() const { return along == Along::k ? matrices.row : matrices.column; }
};

bool suits(int64_t bytes) { return bytes > 0 && bytes % 16 == 0 && bytes < int64_t{1} << 40; }

/// An operand as (side, k): false if TMA cannot read it.
bool describe_input(Matrices<const void*> x, int64_t side, int64_t k, int64_t batch, Input* input) {
  const bool along_k = x.column == 1 || k == 1;
  if (!along_k && x.row != 1 && side != 1) return false;
  *input = {x, side, k, along_k ? Along::k : Along::side};
  if (reinterpret_cast<uintptr_t>(x.data) % 16 != 0) return false;
  const int64_t lines = along_k ? side : k;
  return (lines == 1 || suits(input->stride() * 2)) &&
         (batch == 1 || x.batch == 0 || suits(x.batch * 2));
}

/// The map of an input for TMA: boxes of 64 neighbours by `lines`.
bool make_map(const Input& x, DType dtype, int64_t batch, int lines, CUtensorMap* map) {
  const bool along_k = x.along == Along::k;
  const int64_t neighbours = along_k ? x.k : x.side, others = along_k ? x.side : x.k;
  const bool batched = batch > 1 && x.matrices.batch != 0;
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(neighbours), static_cast<cuuint64_t>(others),
                               static_cast<cuuint64_t>(batched ? batch : 1)};
  // The stride of an axis of size 1 does not matter, but must be a legal one.
  const int64_t row = others == 1 ? (neighbours + 7) / 8 * 16 : x.stride() * 2;
  const int64_t plane = batched ? x.matrices.batch * 2 : row * others;
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(row), static_cast<cuuint64_t>(plane)};
  const cuuint32_t box[3] = {kLine, static_cast<cuuint32_t>(lines), 1}, every[3] = {1, 1, 1};
  const auto type =
      dtype == DType::bfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  return encode_function()(map, type, 3, const_cast<void*>(x.matrices.data), sizes, strides, box,
                           every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                           CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                           CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <class T, Along kA, Along kB, int kColumns, int kStages>
void launch(const CUtensorMap& a, const CUtensorMap& b, const Task& task, int cluster) {
  const auto kernel = wgmma_kernel<T, kA, kB, kColumns, kStages>;
  constexpr int bytes = Layout<kColumns, kStages>::kBytes;
  allow_shared(kernel, bytes, "matmul (wgmma)", __FILE__, __LINE__);
  const int64_t rows = (task.m + kRows * cluster - 1) / (kRows * cluster);
  const int64_t tiles = rows * ((task.n + kColumns - 1) / kColumns) * task.batch * task.slices;
  const int64_t clusters = multiprocessors() / cluster;
  cudaLaunchAttribute together;
  together.id = cudaLaunchAttributeClusterDimension;
  together.val.clusterDim.x = cluster, together.val.clusterDim.y = together.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>((tiles < clusters ? tiles : clusters) * cluster));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = bytes;
  config.attrs = &together;
  config.numAttrs = 1;
  check_launch(cudaLaunchKernelEx(&config, kernel, a, b, task), "matmul (wgmma)", __FILE__,
               __LINE__);
}

template <class T, Along kA, Along kB>
void launch_columns(const CUtensorMap& a, const CUtensorMap& b, const Task& t, WgmmaPlan plan) {
  if (plan.columns == 256) return launch<T, kA, kB, 256, 4>(a, b, t, plan.cluster);
  launch<T, kA, kB, 128, 6>(a, b, t, plan.cluster);
}

template <class T>
void launch_type(const CUtensorMap& a, const CUtensorMap& b, Along along_a, Along along_b,
                 const Task& t, WgmmaPlan plan) {
  using enum Along;
  if (along_a == k && along_b == k) return launch_columns<T, k, k>(a, b, t, plan);
  if (along_a == k) return launch_columns<T, k, side>(a, b, t, plan);
  if (along_b == k) return launch_columns<T, side, k>(a, b, t, plan);
  launch_columns<T, side, side>(a, b, t, plan);
}

}  // namespace
}  // namespace hopper

bool multiply_wgmma(const Problem& p, WgmmaPlan plan) {
  using namespace hopper;
  if (!is_half(p.in) || capability() != 90 || !encode_function() || p.k == 0 ||
      p.batch >= 1 << 30) {
    return false;
  }
  if (p.c.column != 1 && p.n != 1) {
    return p.c.row == 1 || p.m == 1 ? multiply_wgmma(p.transposed(), plan) : false;
  }
  Input a, b;
  if (!describe_input(p.a, p.m, p.k, p.batch, &a)) return false;
  if (!describe_input(p.b.transposed(), p.n, p.k, p.batch, &b)) return false;
  plan = complete(plan, p);
  CUtensorMap map_a, map_b;
  if (!make_map(a, p.in, p.batch, a.along == Along::k ? kRows : kDepth, &map_a)) return false;
  if (!make_map(b, p.in, p.batch, b.along == Along::k ? plan.columns / 2 : kDepth, &map_b))
    return false;

  const Slices slices = even_slices(p.k, plan.slices, kDepth);
  in_slices(p, slices.count, [&](const Problem& target) {
    const auto& c = target.c;
    const int64_t out_bytes = size_of(target.out);
    Task task = {};
    task.m = static_cast<int>(p.m), task.n = static_cast<int>(p.n), task.k = static_cast<int>(p.k);
    task.batch = static_cast<int>(p.batch);
    task.a_batch = p.a.batch != 0, task.b_batch = p.b.batch != 0;
    task.slices = static_cast<int>(slices.count);
    task.slice_steps = static_cast<int>(slices.depth / kDepth);
    task.height = plan.height;
    task.c = c.data, task.c_row = c.row, task.c_batch = c.batch;
    task.c_is_float = target.out == DType::float32;
    task.c_aligned = reinterpret_cast<uintptr_t>(c.data) % 16 == 0 && c.row * out_bytes % 16 == 0 &&
                     c.batch * out_bytes % 16 == 0;
    p.in == DType::bfloat16 ? launch_type<bfloat16>(map_a, map_b, a.along, b.along, task, plan)
                            : launch_type<float16>(map_a, map_b, a.along, b.along, task, plan);
  });
  return true;
}

}  // namespace needle::NEEDLE_GPU

#else

namespace needle::NEEDLE_GPU {
bool multiply_wgmma(const Problem&, WgmmaPlan) { return false; }
}  // namespace needle::NEEDLE_GPU

#endif
