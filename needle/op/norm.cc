// RMS norm and layer norm.  (Lesson 06)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Inputs: x (..., n), weight (n,), and for layer norm bias (n,).
struct NormOp final : Op {
  Norm kind;
  double eps;
  NDArray mean, rstd;  // (...,); left by forward

  NormOp(Norm k, double e) : kind(k), eps(e) {}
  const char* name() const override { return kind == Norm::rms ? "rms_norm" : "layer_norm"; }

  Spec spec(Specs in) const override {
    const Shape& x = in[0].shape;
    for (size_t i = 1; i < in.size(); ++i) {
      if (x.ndim() == 0 || in[i].shape != Shape{x.back()}) {
        throw ValueError(str(name(), ": x ", x, " with ", i == 1 ? "weight " : "bias ", in[i].shape,
                             "; wanted the size of x's last axis"));
      }
    }
    return in[0];
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    Shape rows = out.shape();
    rows.erase(out.ndim() - 1);
    mean = NDArray::empty(rows, out.dtype(), out.device());
    rstd = NDArray::empty(rows, out.dtype(), out.device());
    const View bias = in.size() > 2 ? in[2].view() : View{};
    slot(k, &Kernels::norm, name())(kind, eps, in[0].view(), in[1].view(), bias, out.view(),
                                    mean.view(), rstd.view());
  }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return grad_enabled() ? composed(dy, c) : fused(dy, c);
  }

  Tensors fused(const Tensor& dy, const Context& c) const {
    const NDArray& x = c.input(0).value();
    const NDArray& weight = c.input(1).value();
    const NDArray dx = NDArray::empty(x.shape(), x.dtype(), x.device());
    const NDArray dweight = NDArray::empty(weight.shape(), x.dtype(), x.device());
    const NDArray dbias =
        c.inputs() > 2 ? NDArray::empty(weight.shape(), x.dtype(), x.device()) : NDArray();
    slot(kernels(x.device()), &Kernels::norm_backward, name())(
        kind, x.view(), weight.view(), mean.view(), rstd.view(), dy.value().view(), dx.view(),
        dweight.view(), dbias.defined() ? dbias.view() : View{});
    Tensors partial{Tensor(dx), Tensor(dweight)};
    if (c.inputs() > 2) partial.push_back(Tensor(dbias));
    return partial;
  }

  /// The same in public ops, from the definition: xhat again, and its gradient by the chain rule.
  Tensors composed(const Tensor& dy, const Context& c) const {
    const Axes last = Shape{-1};
    const Tensor x = c.input(0);
    const Tensor weight = c.input(1);
    const Tensor centred = kind == Norm::layer ? sub(x, needle::mean(x, last, true)) : x;
    const Tensor scale = rsqrt(add(needle::mean(mul(centred, centred), last, true), eps));
    const Tensor xhat = mul(centred, scale);
    const Tensor g = mul(dy, weight);
    Tensor inner = sub(g, mul(needle::mean(mul(g, xhat), last, true), xhat));
    if (kind == Norm::layer) inner = sub(inner, needle::mean(g, last, true));
    Tensors partial{mul(scale, inner), sum_to(mul(dy, xhat), weight.shape())};
    if (c.inputs() > 2) partial.push_back(sum_to(dy, weight.shape()));
    return partial;
  }
};

void check_floating(const char* name, const Tensor& x) {
  if (!is_floating(x.dtype())) throw TypeError(str(name, ": x is ", x.dtype(), ", not floating"));
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check_floating("rms_norm", x);
  return apply_op<NormOp>({x, cast(weight, x.dtype())}, Norm::rms, eps);
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check_floating("layer_norm", x);
  return apply_op<NormOp>({x, cast(weight, x.dtype()), cast(bias, x.dtype())}, Norm::layer, eps);
}

}  // namespace needle
