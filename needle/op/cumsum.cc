// cumsum: the running sum along an axis.  (Lesson 04)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// In steps of 1, 2, 4 ...: before the step of size d every element holds the sum of the last d
/// elements up to itself. log2(n) passes of elementwise sums, in parallel on every device: Hillis &
/// Steele, Data parallel algorithms (1986).
struct CumSum final : Op {
  int axis;

  explicit CumSum(int a) : axis(a) {}
  const char* name() const override { return "cumsum"; }
  Spec spec(Specs in) const override { return in[0]; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::copy, name())(in[0].view(), out.view());
    const int64_t n = out.shape(axis);
    for (int64_t d = 1; d < n; d *= 2) {
      const NDArray before = copy_of(out.slice(axis, {0, n - d}));
      const View rest = out.slice(axis, {d, n}).view();
      slot(k, &Kernels::binary, name())(Binary::add, rest, before.view(), rest);
    }
  }

  uint32_t saves() const override { return kNothing; }

  /// Element i is in the sums i, i + 1, ...: the running sum from the other end.
  Tensors gradient(const Tensor& dy, const Context&) const override {
    return {flip(cumsum(flip(dy, axis), axis), axis)};
  }
};

}  // namespace

Tensor cumsum(const Tensor& x, int64_t axis) {
  const int i = normalize_axis("cumsum", axis, x.ndim());
  // As in sum: bools and int32s are counted in int64.
  const bool narrow = x.dtype() == DType::bool_ || x.dtype() == DType::int32;
  return apply_op<CumSum>({narrow ? cast(x, DType::int64) : x}, i);
}

}  // namespace needle
