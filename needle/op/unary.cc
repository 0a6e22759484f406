// Elementwise functions of one tensor.  (Lessons 02 and 03)
#include <numbers>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

constexpr const char* kUnaryNames[kUnaries] = {"neg",     "abs",   "exp",  "log",  "log1p",
                                               "sqrt",    "rsqrt", "sin",  "cos",  "tanh",
                                               "sigmoid", "relu",  "gelu", "silu", "erf"};

bool takes_integers(Unary kind) {
  return kind == Unary::neg || kind == Unary::abs || kind == Unary::relu;
}

struct UnaryOp final : Op {
  Unary kind;

  explicit UnaryOp(Unary k) : kind(k) {}
  const char* name() const override { return kUnaryNames[static_cast<int>(kind)]; }

  Spec spec(Specs in) const override { return in[0]; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::unary, name())(kind, in[0].view(), out.view());
  }

  uint32_t saves() const override { return kInput0 | kOutput; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    if (!grad_enabled()) return {fused_gradient(dy, c)};
    return {mul(dy, slope(c.input(0), c))};
  }

  Tensor fused_gradient(const Tensor& dy, const Context& c) const {
    const NDArray dx = NDArray::empty(dy.shape(), dy.dtype(), dy.device());
    slot(kernels(dy.device()), &Kernels::unary_backward, name())(
        kind, c.input(0).value().view(), c.output().value().view(), dy.value().view(), dx.view());
    return Tensor(dx);
  }

  /// d op(x) / dx in public ops, so that it can be differentiated again.
  Tensor slope(const Tensor& x, const Context& c) const {
    switch (kind) {
      case Unary::neg: return scalar_like(x, -1);
      case Unary::abs:
        return sub(cast(greater(x, scalar_like(x, 0)), x.dtype()),
                   cast(less(x, scalar_like(x, 0)), x.dtype()));
      case Unary::exp: return c.output();
      case Unary::log: return pow(x, -1);
      case Unary::log1p: return pow(add(x, 1), -1);
      case Unary::sqrt: return mul(rsqrt(x), 0.5);
      case Unary::rsqrt: return mul(pow(c.output(), 3), -0.5);
      case Unary::sin: return needle::cos(x);
      case Unary::cos: return needle::neg(needle::sin(x));
      case Unary::tanh: return sub(scalar_like(x, 1), mul(c.output(), c.output()));
      case Unary::sigmoid: return mul(c.output(), sub(scalar_like(x, 1), c.output()));
      case Unary::relu: return cast(greater(x, scalar_like(x, 0)), x.dtype());
      case Unary::gelu: {
        const Tensor cdf = mul(add(needle::erf(mul(x, 1 / std::numbers::sqrt2)), 1), 0.5);
        const double scale = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
        return add(cdf, mul(mul(x, needle::exp(mul(mul(x, x), -0.5))), scale));
      }
      case Unary::silu: {
        const Tensor s = needle::sigmoid(x);
        return mul(s, add(mul(x, sub(scalar_like(x, 1), s)), 1));
      }
      case Unary::erf:
        return mul(needle::exp(needle::neg(mul(x, x))), 2 * std::numbers::inv_sqrtpi);
    }
    throw NotImplementedError("unary: an op without a slope");
  }
};

}  // namespace

Tensor unary(Unary kind, const Tensor& x) {
  if (is_floating(x.dtype()) || (takes_integers(kind) && x.dtype() != DType::bool_)) {
    return apply_op<UnaryOp>({x}, kind);
  }
  if (takes_integers(kind))
    throw TypeError(str(kUnaryNames[static_cast<int>(kind)], ": not for bool; cast first"));
  return apply_op<UnaryOp>({cast(x, DType::float32)}, kind);
}

Tensor neg(const Tensor& x) { return unary(Unary::neg, x); }
Tensor abs(const Tensor& x) { return unary(Unary::abs, x); }
Tensor exp(const Tensor& x) { return unary(Unary::exp, x); }
Tensor log(const Tensor& x) { return unary(Unary::log, x); }
Tensor log1p(const Tensor& x) { return unary(Unary::log1p, x); }
Tensor sqrt(const Tensor& x) { return unary(Unary::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return unary(Unary::rsqrt, x); }
Tensor sin(const Tensor& x) { return unary(Unary::sin, x); }
Tensor cos(const Tensor& x) { return unary(Unary::cos, x); }
Tensor tanh(const Tensor& x) { return unary(Unary::tanh, x); }
Tensor sigmoid(const Tensor& x) { return unary(Unary::sigmoid, x); }
Tensor relu(const Tensor& x) { return unary(Unary::relu, x); }
Tensor gelu(const Tensor& x) { return unary(Unary::gelu, x); }
Tensor silu(const Tensor& x) { return unary(Unary::silu, x); }
Tensor erf(const Tensor& x) { return unary(Unary::erf, x); }
Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace needle
