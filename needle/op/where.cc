// where, clip, masked_fill: a choice per element.  (Lessons 02 and 03)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct Where final : Op {
  const char* name() const override { return "where"; }

  Spec spec(Specs in) const override {
    if (in[0].dtype != DType::bool_) {
      throw TypeError(
          str("where: the condition is ", in[0].dtype, "; make it bool by a comparison"));
    }
    const Shape branches = broadcast_shapes(name(), in[1].shape, in[2].shape);
    return {broadcast_shapes(name(), in[0].shape, branches), in[1].dtype};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::where, name())(in[0].broadcast_to(out.shape()).view(),
                                     in[1].broadcast_to(out.shape()).view(),
                                     in[2].broadcast_to(out.shape()).view(), out.view());
  }

  uint32_t saves() const override { return kInput0; }
  bool takes_half() const override { return true; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    const Tensor condition = c.input(0);
    const Tensor zero = scalar_like(dy, 0);
    Tensors partial(3);
    if (c.wants(1)) partial[1] = sum_to(where(condition, dy, zero), c.shape(1));
    if (c.wants(2)) partial[2] = sum_to(where(condition, zero, dy), c.shape(2));
    return partial;
  }
};

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const DType dtype = promote(a.dtype(), b.dtype());
  return apply_op<Where>({condition, cast(a, dtype), cast(b, dtype)});
}

Tensor clip(const Tensor& x, double low, double high) {
  refuse_half("clip", x.dtype());
  if (!(low <= high)) throw ValueError(str("clip: low ", low, " is not at most high ", high));
  const Tensor lowest = scalar_like(x, low);
  const Tensor highest = scalar_like(x, high);
  return where(less(x, lowest), lowest, where(greater(x, highest), highest, x));
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  if (mask.dtype() != DType::bool_) {
    throw TypeError(str("masked_fill: the mask is ", mask.dtype(), ", not bool"));
  }
  if (broadcast_shapes("masked_fill", x.shape(), mask.shape()) != x.shape()) {
    throw ValueError(
        str("masked_fill: the mask ", mask.shape(), " does not broadcast to ", x.shape()));
  }
  const Tensor filler = scalar_like(x, value);
  if (filler.dtype() != x.dtype()) {
    throw TypeError(str("masked_fill: the value ", value, " does not fit ", x.dtype()));
  }
  return where(mask, filler, x);
}

}  // namespace needle
