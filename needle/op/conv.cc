// Convolution: matrix products over windows of an image.  (Lesson 05)
//
// unfold2d shows every window of x as a view; the product of the filters with these columns is the
// convolution (Chellapilla et al. 2006, "im2col"). fold2d adds windows up where they overlap: it is
// the gradient of unfold2d, and the heart of the transposed convolution.
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct Windows {
  Shape kernel, stride, dilation;  // (height, width) each
  /// How far a window reaches along axis i (0: height, 1: width).
  int64_t extent(int i) const { return dilation[i] * (kernel[i] - 1) + 1; }
};

struct Unfold2d final : ViewOp {
  Windows w;

  explicit Unfold2d(const Windows& windows) : w(windows) {}
  const char* name() const override { return "unfold2d"; }

  NDArray view(const NDArray& x) const override {
    View v = x.view();
    Shape shape{v.shape[0], v.shape[1], w.kernel[0], w.kernel[1]};
    Shape strides{v.strides[0], v.strides[1]};
    for (int i = 0; i < 2; ++i) {
      shape.push_back((v.shape[2 + i] - w.extent(i)) / w.stride[i] + 1);
      strides.push_back(v.strides[2 + i] * w.dilation[i]);
    }
    for (int i = 0; i < 2; ++i) strides.push_back(v.strides[2 + i] * w.stride[i]);
    v.shape = shape;
    v.strides = strides;
    return NDArray(x.storage(), v);
  }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {fold2d(dy, {c.shape(0)[2], c.shape(0)[3]}, w.stride, w.dilation)};
  }
};

struct Fold2d final : Op {
  Shape size;
  Windows w;

  Fold2d(const Shape& s, const Windows& windows) : size(s), w(windows) {}
  const char* name() const override { return "fold2d"; }

  Spec spec(Specs in) const override {
    return {{in[0].shape[0], in[0].shape[1], size[0], size[1]}, in[0].dtype};
  }

  /// One addition for each place in the window: all windows at once.
  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    fill(out, 0);
    const NDArray& columns = in[0];  // (n, channels, kh, kw, oh, ow)
    if (columns.size() == 0) return;
    for (int64_t i = 0; i < w.kernel[0]; ++i) {
      for (int64_t j = 0; j < w.kernel[1]; ++j) {
        const View part = out.slice(2, places(0, i, columns.shape(4)))
                              .slice(3, places(1, j, columns.shape(5)))
                              .view();
        const NDArray column = columns.select(2, i).select(2, j);
        slot(k, &Kernels::binary, name())(Binary::add, part, column.view(), part);
      }
    }
  }

  Slice places(int i, int64_t tap, int64_t count) const {
    const int64_t first = tap * w.dilation[i];
    return {first, first + (count - 1) * w.stride[i] + 1, w.stride[i]};
  }

  uint32_t saves() const override { return kNothing; }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    // A size larger than the windows need may have room for more of them.
    const Tensor windows = unfold2d(dy, w.kernel, w.stride, w.dilation);
    return {slice(slice(windows, 4, {0, c.shape(0)[4]}), 5, {0, c.shape(0)[5]})};
  }
};

/// One number or (height, width), none below `least`. ValueError naming what it is otherwise.
Shape both(const char* name, const char* what, const Shape& given, int64_t least) {
  constexpr int64_t kMost = int64_t{1} << 30;  // products of two stay far from overflow
  const Shape out = given.ndim() == 1 ? Shape{given[0], given[0]} : given;
  bool fits = out.ndim() == 2;
  for (int64_t value : out) fits &= value >= least && value <= kMost;
  if (!fits) {
    throw ValueError(
        str(name, ": ", what, " ", given, "; wanted one or two numbers, at least ", least));
  }
  return out;
}

void check_images(const char* name, const Tensor& x) {
  if (!is_floating(x.dtype())) throw TypeError(str(name, ": x is ", x.dtype(), ", not floating"));
  if (x.ndim() != 4) {
    throw ValueError(
        str(name, ": x has shape ", x.shape(), "; wanted (n, channels, height, width)"));
  }
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

Tensor unfold2d(const Tensor& x, const Shape& kernel, const Shape& stride, const Shape& dilation) {
  check_images("unfold2d", x);
  const Windows w{both("unfold2d", "kernel", kernel, 1), both("unfold2d", "stride", stride, 1),
                  both("unfold2d", "dilation", dilation, 1)};
  if (w.extent(0) > x.shape(2) || w.extent(1) > x.shape(3)) {
    throw ValueError(str("unfold2d: a window of ", Shape{w.extent(0), w.extent(1)},
                         " does not fit into x of shape ", x.shape(), ", padding included"));
  }
  return apply_op<Unfold2d>({x}, w);
}

Tensor fold2d(const Tensor& columns, const Shape& size, const Shape& stride,
              const Shape& dilation) {
  if (columns.ndim() != 6) {
    throw ValueError(
        str("fold2d: columns ", columns.shape(), "; wanted (n, channels, kh, kw, oh, ow)"));
  }
  const Windows w{{columns.shape(2), columns.shape(3)},
                  both("fold2d", "stride", stride, 1),
                  both("fold2d", "dilation", dilation, 1)};
  const Shape wanted = both("fold2d", "size", size, 0);
  for (int i = 0; i < 2; ++i) {
    if ((columns.shape(4 + i) - 1) * w.stride[i] + w.extent(i) > wanted[i]) {
      throw ValueError(str("fold2d: windows ", columns.shape(), " reach beyond ", wanted));
    }
  }
  return apply_op<Fold2d>({columns}, wanted, w);
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Shape& stride,
              const Shape& padding, const Shape& dilation, int64_t groups) {
  check_filters("conv2d", x, weight, bias, groups, false);
  const Shape border = both("conv2d", "padding", padding, 0);
  const Tensor padded = pad(x, {border[1], border[1], border[0], border[0]});
  const Shape kernel{weight.shape(2), weight.shape(3)};
  const Tensor windows = unfold2d(padded, kernel, stride, dilation);
  const int64_t n = x.shape(0), out = weight.shape(0);
  const int64_t taps = weight.shape(1) * kernel.size();
  const int64_t places = windows.shape(4) * windows.shape(5);
  // (groups, out / groups, taps) x (n, groups, taps, places)
  const Tensor y = matmul(reshape(cast(weight, x.dtype()), {groups, out / groups, taps}),
                          reshape(windows, {n, groups, taps, places}));
  return with_bias(reshape(y, {n, out, windows.shape(4), windows.shape(5)}), bias);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Shape& stride, const Shape& padding, const Shape& output_padding,
                        int64_t groups, const Shape& dilation) {
  constexpr const char* kName = "conv_transpose2d";
  check_filters(kName, x, weight, bias, groups, true);
  const Windows w{{weight.shape(2), weight.shape(3)},
                  both(kName, "stride", stride, 1),
                  both(kName, "dilation", dilation, 1)};
  const Shape border = both(kName, "padding", padding, 0);
  const Shape extra = both(kName, "output_padding", output_padding, 0);
  Shape full;
  for (int i = 0; i < 2; ++i) {
    full.push_back((x.shape(2 + i) - 1) * w.stride[i] + w.extent(i) + extra[i]);
    if (x.shape(2 + i) < 1 || full[i] <= 2 * border[i]) {
      throw ValueError(str(kName, ": x ", x.shape(), " with padding ", border, " leaves nothing"));
    }
    if (extra[i] >= std::max(w.stride[i], w.dilation[i])) {
      throw ValueError(str(kName, ": output_padding ", extra,
                           " must be smaller than the stride or the dilation"));
    }
  }
  const int64_t n = x.shape(0), channels = x.shape(1), out = weight.shape(1) * groups;
  const int64_t places = x.shape(2) * x.shape(3);
  const int64_t taps = weight.shape(1) * w.kernel.size();
  // (groups, taps, channels / groups) x (n, groups, channels / groups, places)
  const Tensor filters = reshape(cast(weight, x.dtype()), {groups, channels / groups, taps});
  const Tensor columns =
      matmul(transpose(filters, 1, 2), reshape(x, {n, groups, channels / groups, places}));
  const Tensor windows =
      reshape(columns, {n, out, w.kernel[0], w.kernel[1], x.shape(2), x.shape(3)});
  const Tensor y = fold2d(windows, full, w.stride, w.dilation);
  return with_bias(pad(y, {-border[1], -border[1], -border[0], -border[0]}), bias);
}

}  // namespace needle
