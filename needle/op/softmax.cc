// softmax and its logarithm.  (Lessons 03 and 06)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Over the last axis.
struct Softmax final : Op {
  bool log;

  explicit Softmax(bool l) : log(l) {}
  const char* name() const override { return log ? "log_softmax" : "softmax"; }
  Spec spec(Specs in) const override { return in[0]; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::softmax, name())(log, in[0].view(), out.view());
  }

  uint32_t saves() const override { return kOutput; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    const Tensor y = c.output();
    if (!grad_enabled()) {
      const NDArray dx = NDArray::empty(dy.shape(), dy.dtype(), dy.device());
      slot(kernels(dy.device()), &Kernels::softmax_backward, name())(log, y.value().view(),
                                                                     dy.value().view(), dx.view());
      return {Tensor(dx)};
    }
    if (log) return {sub(dy, mul(exp(y), sum(dy, Shape{-1}, true)))};
    return {mul(y, sub(dy, sum(mul(dy, y), Shape{-1}, true)))};
  }
};

Tensor along_axis(bool log, const Tensor& x, int64_t axis) {
  const char* name = log ? "log_softmax" : "softmax";
  if (!is_floating(x.dtype())) return along_axis(log, cast(x, DType::float32), axis);
  if (x.ndim() == 0) throw ValueError(str(name, ": a scalar has no axis"));
  const int i = normalize_axis(name, axis, x.ndim());
  if (i == x.ndim() - 1) return apply_op<Softmax>({x}, log);
  return transpose(apply_op<Softmax>({transpose(x, i, -1)}, log), i, -1);
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) { return along_axis(false, x, axis); }
Tensor log_softmax(const Tensor& x, int64_t axis) { return along_axis(true, x, axis); }

}  // namespace needle
