// Elementwise arithmetic of two tensors.  (Lessons 02 and 03)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

constexpr const char* kBinaryNames[kBinaries] = {"add", "sub",     "mul",    "div",
                                                 "pow", "maximum", "minimum"};

const char* name_of(Binary kind) { return kBinaryNames[static_cast<int>(kind)]; }

struct BinaryOp final : Op {
  Binary kind;

  explicit BinaryOp(Binary k) : kind(k) {}
  const char* name() const override { return name_of(kind); }

  Spec spec(Specs in) const override {
    const Spec a = in[0], b = in[1];
    return {a.shape == b.shape ? a.shape : broadcast_shapes(name(), a.shape, b.shape), a.dtype};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    const auto function = slot(k, &Kernels::binary, name());
    if (in[0].shape() == in[1].shape())
      return function(kind, in[0].view(), in[1].view(), out.view());
    function(kind, in[0].broadcast_to(out.shape()).view(), in[1].broadcast_to(out.shape()).view(),
             out.view());
  }

  uint32_t saves() const override {
    return kind == Binary::add || kind == Binary::sub ? kNothing : kInputs;
  }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    Tensors partial(2);
    for (int i = 0; i < 2; ++i) {
      if (c.wants(i)) partial[i] = sum_to(i == 0 ? first(dy, c) : second(dy, c), c.shape(i));
    }
    return partial;
  }

  Tensor first(const Tensor& dy, const Context& c) const {
    switch (kind) {
      case Binary::add:
      case Binary::sub: return dy;
      case Binary::mul: return mul(dy, c.input(1));
      case Binary::div: return div(dy, c.input(1));
      case Binary::pow: {
        const Tensor a = c.input(0);
        const Tensor b = c.input(1);
        return mul(dy, mul(b, pow(a, sub(b, 1))));
      }
      default: return mul(dy, share(c, 0));
    }
  }

  Tensor second(const Tensor& dy, const Context& c) const {
    switch (kind) {
      case Binary::add: return dy;
      case Binary::sub: return neg(dy);
      case Binary::mul: return mul(dy, c.input(0));
      case Binary::div: return neg(div(mul(dy, c.input(0)), mul(c.input(1), c.input(1))));
      case Binary::pow: {
        const Tensor a = c.input(0);
        // log(0) * 0^b is taken as its limit, 0.
        const Tensor slope = mul(pow(a, c.input(1)), log(a));
        return mul(dy, where(equal(a, scalar_like(a, 0)), scalar_like(a, 0), slope));
      }
      default: return mul(dy, share(c, 1));
    }
  }

  /// How much of the gradient of maximum or minimum operand i gets: 1, 0, or 1/2 where they tie.
  Tensor share(const Context& c, int i) const {
    const Tensor mine = c.input(i);
    const Tensor other = c.input(1 - i);
    const bool larger = kind == Binary::maximum;
    const Tensor wins = cast(larger ? greater(mine, other) : less(mine, other), mine.dtype());
    return add(wins, mul(cast(equal(mine, other), mine.dtype()), 0.5));
  }
};

}  // namespace

static Tensor binary(Binary kind, const Tensor& a, const Tensor& b) {
  DType dtype = promote(a.dtype(), b.dtype());
  const bool floating_only = kind == Binary::div || kind == Binary::pow;
  if (floating_only && !is_floating(dtype)) dtype = DType::float32;
  if (dtype == DType::bool_) throw TypeError(str(name_of(kind), ": not for bool; cast first"));
  if (a.dtype() == dtype && b.dtype() == dtype) return apply_op<BinaryOp>({a, b}, kind);
  return apply_op<BinaryOp>({cast(a, dtype), cast(b, dtype)}, kind);
}

Tensor add(const Tensor& a, const Tensor& b) { return binary(Binary::add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary(Binary::sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary(Binary::mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return binary(Binary::div, a, b); }
Tensor pow(const Tensor& a, const Tensor& b) { return binary(Binary::pow, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(Binary::maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(Binary::minimum, a, b); }

Tensor scalar_like(const Tensor& x, double value) {
  const bool fits =
      is_floating(x.dtype()) ||
      (x.dtype() != DType::bool_ && value == static_cast<double>(static_cast<int64_t>(value)));
  return Tensor::scalar(value, fits ? x.dtype() : DType::float32, x.device());
}

Tensor add(const Tensor& a, double b) { return add(a, scalar_like(a, b)); }
Tensor sub(const Tensor& a, double b) { return sub(a, scalar_like(a, b)); }
Tensor mul(const Tensor& a, double b) { return mul(a, scalar_like(a, b)); }
Tensor div(const Tensor& a, double b) { return div(a, scalar_like(a, b)); }

Tensor pow(const Tensor& a, double b) {
  if (!is_floating(a.dtype())) return pow(a, scalar_like(a, b));
  // The powers that models use cost one multiplication or one root, not a logarithm.
  if (b == 1) return mul(a, 1);
  if (b == 2) return mul(a, a);
  if (b == 3) return mul(mul(a, a), a);
  if (b == 0.5) return sqrt(a);
  if (b == -0.5) return rsqrt(a);
  if (b == -1) return div(scalar_like(a, 1), a);
  return pow(a, scalar_like(a, b));
}

Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }

}  // namespace needle
