// The kernels of cuda/gemm, compiled for the simulator.
#include "cuda/gemm/gemm.cu"
#include "cuda/gemm/sgemm.cu"
#include "cuda/gemm/thin.cu"
#include "cuda/gemm/wgmma_plan.h"
#include "cuda/sim/runtime.h"
#include "gemm.h"

// As in cuda/memory_sim.cc, which comes with the whole table of kernels.
namespace needle::cuda_sim {
void* allocate(size_t bytes) { return sim::allocate(bytes); }
void release(void* data, size_t) noexcept { sim::release(data); }
}  // namespace needle::cuda_sim

namespace needle::sim::gemm {
namespace {

cuda_sim::Problem problem(const Product& p) {
  const auto in = [](const Matrix& x) {
    return cuda_sim::Matrices<const void*>{x.data, x.row, x.column, x.batch};
  };
  return {DType::float32,
          DType::float32,
          p.m,
          p.n,
          p.k,
          p.batch,
          in(p.a),
          in(p.b),
          {p.c.data, p.c.row, p.c.column, p.c.batch}};
}

}  // namespace

bool multiply(Kernel kernel, const Product& product, int slices) {
  using cuda_sim::SgemmCut;
  const cuda_sim::Problem p = problem(product);
  if (kernel == Kernel::choose) return cuda_sim::multiply(p);
  if (kernel == Kernel::thin) return cuda_sim::multiply_thin(p);
  const auto cut = kernel == Kernel::large ? SgemmCut::large : SgemmCut::small;
  return cuda_sim::multiply_float(p, cut, slices);
}

Cut even_slices(int64_t k, int64_t wanted, int64_t unit) {
  const auto slices = cuda_sim::even_slices(k, wanted, unit);
  return {slices.count, slices.depth};
}

Plan wgmma_plan(int64_t m, int64_t n, int64_t k, int64_t batch, Plan wish) {
  cuda_sim::Problem p = problem({m, n, k, batch, {}, {}, {}});
  p.in = p.out = DType::bfloat16;
  const auto plan =
      cuda_sim::hopper::complete({wish.columns, wish.cluster, wish.height, wish.slices}, p);
  return {plan.columns, plan.cluster, plan.height, plan.slices};
}

}  // namespace needle::sim::gemm
