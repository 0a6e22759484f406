// Rotary position embedding.  (Lesson 06)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Inputs: x (batch, heads, seq, d), cos and sin (seq, d/2). A rotation; its gradient turns back.
struct Rotary final : Op {
  bool inverse;

  explicit Rotary(bool i) : inverse(i) {}
  const char* name() const override { return "rotary_embedding"; }

  Spec spec(Specs in) const override {
    const Shape& x = in[0].shape;
    const bool fits = x.ndim() == 4 && x[3] % 2 == 0 && in[1].shape == Shape{x[2], x[3] / 2} &&
                      in[2].shape == in[1].shape;
    if (!fits) {
      throw ValueError(str("rotary_embedding: x ", x, ", cos ", in[1].shape, ", sin ", in[2].shape,
                           "; wanted (batch, heads, seq, d) with d even, and (seq, d/2) twice"));
    }
    return in[0];
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::rotary, name())(inverse, in[0].view(), in[1].view(), in[2].view(),
                                      out.view());
  }

  uint32_t saves() const override { return kInput1 | kInput2; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    if (c.wants(1) || c.wants(2)) {
      throw NotImplementedError("rotary_embedding: cos and sin have no gradient; detach() them");
    }
    return {apply_op<Rotary>({dy, c.input(1), c.input(2)}, !inverse), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rotary_embedding(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  return apply_op<Rotary>({x, cast(cos, x.dtype()), cast(sin, x.dtype())}, false);
}

}  // namespace needle
