// Other cuts of the float32 kernel than the library's, to find out which is the fastest on a GPU.
#include "cuda/device.h"
#include "cuda/gemm/sgemm.cuh"
#include "tests/gpu/gemm_support.h"

namespace needle::cuda::check {
namespace {

using sgemm::Cut;

template <class C>
bool launch(const Problem& p) {
  using namespace sgemm;
  const int64_t tiles = ceil_div(p.m, C::kRows) * ceil_div(p.n, C::kColumns) * p.batch;
  const auto in = [](Matrices<const void*> x) {
    return Matrices<const float*>{static_cast<const float*>(x.data), x.row, x.column, x.batch};
  };
  const Task task = {static_cast<int>(p.m),
                     static_cast<int>(p.n),
                     static_cast<int>(p.k),
                     p.batch,
                     static_cast<int>(p.k),
                     8,
                     true,
                     in(p.a),
                     in(p.b),
                     {static_cast<float*>(p.c.data), p.c.row, p.c.column, p.c.batch}};
  const auto fours = [](const Matrices<const float*>& x, int64_t side) {
    return x.row == 1 && side % 4 == 0 && x.column % 4 == 0 && x.batch % 4 == 0;
  };
  const bool a = fours(task.a, p.m), b = fours(task.b.transposed(), p.n);
  if (p.k % C::kDepth != 0 || p.n % 4 != 0 || p.c.column != 1 || p.c.row % 4 != 0) return false;
  const auto start = [&]<Along kA, Along kB>() {
    NEEDLE_LAUNCH((sgemm_kernel<kA, kB, C>), static_cast<unsigned>(tiles), C::kThreads,
                  C::kSharedBytes, task);
    return true;
  };
  using enum Along;
  if (a) return b && start.template operator()<side, side>();
  return b ? start.template operator()<k, side>() : start.template operator()<k, k>();
}

}  // namespace

bool run_variant(const std::string& name, const Problem& p) {
  if (p.in != DType::float32) return false;
  // Rows, columns, k of a block; rows and columns of a warp; stages; blocks at once; operands fetched
  // ahead.
  if (name == "plain") return launch<Cut<128, 128, 8, 64, 64, 4, 2, false>>(p);
  if (name == "deep") return launch<Cut<128, 128, 16, 64, 64, 3, 2>>(p);
  if (name == "wide") return launch<Cut<128, 256, 8, 64, 64, 4, 1>>(p);
  if (name == "tall") return launch<Cut<256, 128, 8, 64, 64, 4, 1>>(p);
  if (name == "eight") return launch<Cut<128, 128, 8, 64, 32, 4, 2, false>>(p);
  return false;
}

}  // namespace needle::cuda::check
