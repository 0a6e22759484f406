// Pooling: one number for each window of an image.  (Lesson 05)
#include "needle/autograd/node.h"
#include "needle/op/op.h"
#include "needle/op/windows.h"

namespace needle {
namespace {

/// For each window, the position of its largest pixel in x. Input: x (n, channels, height, width).
struct PoolArgmax final : Op {
  Windows w;
  Shape to;

  PoolArgmax(const Windows& windows, const Shape& shape) : w(windows), to(shape) {}
  const char* name() const override { return "max_pool2d"; }
  Spec spec(Specs) const override { return {to, DType::int64}; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::pool_argmax, name())(w, in[0].view(), out.view());
  }

  uint32_t saves() const override { return kNothing; }
  Tensors gradient(const Tensor&, const Context&) const override { return {}; }
};

/// ValueError for a padding of more than half of the kernel, as a window might lie in it whole; and
/// for a kernel beyond all measure.
Windows pool_windows(const char* name, const Tensor& x, const Shape& kernel, const Axes& stride,
                     const Shape& padding) {
  check_images(name, x);
  const Windows w = windows_of(name, kernel, stride.value_or(kernel), padding, {1});
  if (w.padding[0] > w.kernel[0] / 2 || w.padding[1] > w.kernel[1] / 2) {
    throw ValueError(str(name, ": padding ", padding, "; wanted 0 to half of the kernel ", kernel));
  }
  constexpr int64_t kMost = int64_t{1} << 24;  // a float32 still tells that many taps apart
  if (w.kernel.size() > kMost) {
    throw ValueError(str(name, ": kernel ", kernel, " has more than ", kMost, " elements"));
  }
  return w;
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride, const Shape& padding) {
  const Windows w = pool_windows("max_pool2d", x, kernel, stride, padding);
  const Shape places = count_windows("max_pool2d", w, {x.shape(2), x.shape(3)});
  const Shape to{x.shape(0), x.shape(1), places[0], places[1]};
  return gather_rows(reshape(x, {x.size()}), apply_op<PoolArgmax>({x.detach()}, w, to));
}

Tensor avg_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride, const Shape& padding) {
  // A convolution of every channel with the same constant filter.
  const Windows w = pool_windows("avg_pool2d", x, kernel, stride, padding);
  if (x.shape(1) == 0) throw ValueError(str("avg_pool2d: x ", x.shape(), " has no channels"));
  const Shape filters{x.shape(1), 1, w.kernel[0], w.kernel[1]};
  const Tensor weight =
      Tensor(filled(filters, 1.0 / static_cast<double>(w.kernel.size()), x.dtype(), x.device()));
  return conv2d(x, weight, {}, w.stride, w.padding, {1}, x.shape(1));
}

}  // namespace needle
