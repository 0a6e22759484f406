// Pooling: one number for each window of an image.  (Lesson 05)
#include <cmath>

#include "needle/op/op.h"

namespace needle {
namespace {

/// Every window of the padded image: (n, channels, kh, kw, oh, ow).
Tensor windows(const char* name, const Tensor& x, const Shape& kernel, const Axes& stride,
               const Shape& padding, double border) {
  const auto at = [](const Shape& s, int i) { return s[s.ndim() == 1 ? 0 : i]; };
  for (const Shape& s : {kernel, padding}) {
    if (s.ndim() != 1 && s.ndim() != 2)
      throw ValueError(str(name, ": ", s, "; wanted 1 or 2 sizes"));
  }
  const int64_t high = at(padding, 0), wide = at(padding, 1);
  if (high < 0 || wide < 0 || high > at(kernel, 0) / 2 || wide > at(kernel, 1) / 2) {
    throw ValueError(str(name, ": padding ", padding, "; wanted 0 to half of the kernel ", kernel));
  }
  if (!is_floating(x.dtype())) throw TypeError(str(name, ": x is ", x.dtype(), ", not floating"));
  if (x.ndim() != 4) {
    throw ValueError(
        str(name, ": x has shape ", x.shape(), "; wanted (n, channels, height, width)"));
  }
  return unfold2d(pad(x, {wide, wide, high, high}, border), kernel, stride.value_or(kernel), {1});
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride, const Shape& padding) {
  const Tensor w = windows("max_pool2d", x, kernel, stride, padding, -INFINITY);
  const Tensor taps =
      reshape(w, {w.shape(0), w.shape(1), w.shape(2) * w.shape(3), w.shape(4), w.shape(5)});
  if (taps.size() == 0) return sum(taps, Shape{2});
  // Not max(): of equal elements the first alone gets the gradient, as in PyTorch.
  return squeeze(gather(taps, 2, argmax(taps, 2, true)), 2);
}

Tensor avg_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride, const Shape& padding) {
  return mean(windows("avg_pool2d", x, kernel, stride, padding, 0), Shape{2, 3});
}

}  // namespace needle
