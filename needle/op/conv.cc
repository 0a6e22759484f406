// Convolution, and its transpose.  (Lesson 05)
//
// The sum T(x, w, g) of all products x * w * g, over every window, tap and channel, is linear in
// each of the three. Its derivatives by g, x and w are the convolution, its gradient with respect to
// the images and that with respect to the weight: three ops whose gradients are each other.
// Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (arXiv 1603.07285).
#include "needle/autograd/node.h"
#include "needle/op/op.h"
#include "needle/op/windows.h"

namespace needle {
namespace {

/// What the three ops have in common: the windows, and the shape that is not that of an input.
struct Conv : Op {
  Windows w;
  int64_t groups;
  Shape to;  // of the output

  Conv(const Windows& windows, int64_t g, const Shape& shape) : w(windows), groups(g), to(shape) {}
  Spec spec(Specs in) const final { return {to, in[0].dtype}; }
};

/// dT/dg. Inputs: x (n, groups * in, height, width), weight (groups * out, in, kh, kw).
struct Conv2d final : Conv {
  using Conv::Conv;
  const char* name() const override { return "conv2d"; }
  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::conv2d, name())(w, groups, in[0].view(), in[1].view(), out.view());
  }
  Tensors gradient(const Tensor& dy, const Context& c) const override;
};

/// dT/dx. Inputs: g (n, groups * out, oh, ow), weight.
struct Conv2dInput final : Conv {
  using Conv::Conv;
  const char* name() const override { return "conv2d_input"; }
  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::conv2d_input, name())(w, groups, in[0].view(), in[1].view(), out.view());
  }
  Tensors gradient(const Tensor& dy, const Context& c) const override;
};

/// dT/dw. Inputs: g, x.
struct Conv2dWeight final : Conv {
  using Conv::Conv;
  const char* name() const override { return "conv2d_weight"; }
  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::conv2d_weight, name())(w, groups, in[0].view(), in[1].view(), out.view());
  }
  Tensors gradient(const Tensor& dy, const Context& c) const override;
};

/// Op O of a and b with the windows of `conv`, if input i wants it.
template <class O>
Tensor part(const Conv& conv, const Context& c, int i, const Tensor& a, const Tensor& b) {
  return c.wants(i) ? apply_op<O>({a, b}, conv.w, conv.groups, c.shape(i)) : Tensor();
}

Tensors Conv2d::gradient(const Tensor& dy, const Context& c) const {
  return {part<Conv2dInput>(*this, c, 0, dy, c.input(1)),
          part<Conv2dWeight>(*this, c, 1, dy, c.input(0))};
}

Tensors Conv2dInput::gradient(const Tensor& dx, const Context& c) const {
  return {part<Conv2d>(*this, c, 0, dx, c.input(1)),
          part<Conv2dWeight>(*this, c, 1, c.input(0), dx)};
}

Tensors Conv2dWeight::gradient(const Tensor& dw, const Context& c) const {
  return {part<Conv2d>(*this, c, 0, c.input(1), dw),
          part<Conv2dInput>(*this, c, 1, c.input(0), dw)};
}

/// ValueError unless weight is (out, in, kh, kw), `groups` divides the channels of both sides, and
/// bias, if any, is (channels,).
void check_filters(const char* name, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   int64_t groups, bool transposed) {
  check_images(name, x);
  const Shape w = weight.shape();
  bool fits = w.ndim() == 4 && groups >= 1 && w[2] >= 1 && w[3] >= 1 && w[0] % groups == 0;
  if (fits) fits = x.shape(1) == (transposed ? w[0] : w[1] * groups);
  if (!fits) {
    throw ValueError(
        str(name, ": x ", x.shape(), " with weight ", w, " and ", groups, " groups; wanted weight ",
            transposed ? "(channels, out / groups, kh, kw)" : "(out, channels / groups, kh, kw)"));
  }
  const int64_t out = transposed ? w[1] * groups : w[0];
  if (bias.defined() && bias.shape() != Shape{out}) {
    throw ValueError(str(name, ": bias ", bias.shape(), "; wanted (", out, ",)"));
  }
}

Tensor with_bias(const Tensor& y, const Tensor& bias) {
  return bias.defined() ? add(y, reshape(cast(bias, y.dtype()), {bias.size(), 1, 1})) : y;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups) {
  check_filters("conv2d", x, weight, bias, groups, false);
  const Shape kernel{weight.shape(2), weight.shape(3)};
  const Windows w = windows_of("conv2d", kernel, stride, padding, dilation);
  const Shape places = count_windows("conv2d", w, {x.shape(2), x.shape(3)});
  const Shape to{x.shape(0), weight.shape(0), places[0], places[1]};
  return with_bias(apply_op<Conv2d>({x, cast(weight, x.dtype())}, w, groups, to), bias);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Shape& stride, const Shape& padding, const Shape& output_padding,
                        int64_t groups, const Shape& dilation) {
  constexpr const char* kName = "conv_transpose2d";
  check_filters(kName, x, weight, bias, groups, true);
  const Shape kernel{weight.shape(2), weight.shape(3)};
  const Windows w = windows_of(kName, kernel, stride, padding, dilation);
  const Shape extra = both(kName, "output_padding", output_padding, 0);
  Shape to{x.shape(0), weight.shape(1) * groups};
  for (int i = 0; i < 2; ++i) {
    const int64_t full = (x.shape(2 + i) - 1) * w.stride[i] + extent(w, i) + extra[i];
    if (x.shape(2 + i) < 1 || full <= 2 * w.padding[i]) {
      throw ValueError(
          str(kName, ": x ", x.shape(), " with padding ", w.padding, " leaves nothing"));
    }
    if (extra[i] >= std::max(w.stride[i], w.dilation[i])) {
      throw ValueError(str(kName, ": output_padding ", extra,
                           " must be smaller than the stride or the dilation"));
    }
    to.push_back(full - 2 * w.padding[i]);
  }
  return with_bias(apply_op<Conv2dInput>({x, cast(weight, x.dtype())}, w, groups, to), bias);
}

}  // namespace needle
