// dropout.  (Lesson 05)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// What is dropped follows from the place in the stream: nothing is kept for the gradient, which
/// drops the same elements.
struct Dropout final : Op {
  double p;
  uint64_t seed, offset;

  Dropout(double rate, uint64_t stream, uint64_t first) : p(rate), seed(stream), offset(first) {}
  const char* name() const override { return "dropout"; }

  Spec spec(Specs in) const override {
    if (!is_floating(in[0].dtype)) {
      throw TypeError(str("dropout: x is ", in[0].dtype, "; wanted float32 or float64"));
    }
    return in[0];
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::dropout, name())(seed, offset, p, in[0].view(), out.view());
  }

  uint32_t saves() const override { return 0; }

  Tensors gradient(const Tensor& dy, const Context& /*c*/) const override {
    return {apply_op<Dropout>({dy}, p, seed, offset)};
  }
};

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training) {
  if (!(p >= 0 && p < 1)) throw ValueError(str("dropout: p = ", p, " is not in [0, 1)"));
  refuse_half("dropout", x.dtype());
  if (!training || p == 0) return x;
  Generator& generator = default_generator();
  return apply_op<Dropout>({x}, p, generator.seed(), generator.take(x.size()));
}

}  // namespace needle
