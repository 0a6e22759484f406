// Where windows lie on an image.  (Lesson 05)
#include "needle/op/windows.h"

namespace needle {

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

Windows windows_of(const char* name, const Shape& kernel, const Shape& stride, const Shape& padding,
                   const Shape& dilation) {
  return {both(name, "kernel", kernel, 1), both(name, "stride", stride, 1),
          both(name, "padding", padding, 0), both(name, "dilation", dilation, 1)};
}

void check_images(const char* name, const Tensor& x) {
  if (!is_floating(x.dtype())) throw TypeError(str(name, ": x is ", x.dtype(), ", not floating"));
  if (x.ndim() != 4) {
    throw ValueError(
        str(name, ": x has shape ", x.shape(), "; wanted (n, channels, height, width)"));
  }
}

int64_t extent(const Windows& w, int axis) { return w.dilation[axis] * (w.kernel[axis] - 1) + 1; }

Shape count_windows(const char* name, const Windows& w, const Shape& size) {
  Shape out;
  for (int i = 0; i < 2; ++i) {
    const int64_t room = size[i] + 2 * w.padding[i] - extent(w, i);
    if (room < 0) {
      throw ValueError(str(name, ": a window of ", Shape{extent(w, 0), extent(w, 1)},
                           " does not fit into an image of ", size, " with padding ", w.padding));
    }
    out.push_back(room / w.stride[i] + 1);
  }
  return out;
}

}  // namespace needle
