// Tensors made from nothing.  (Lesson 02)
#include <cmath>

#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle {

Tensor full(const Shape& shape, double value, DType dtype, Device device) {
  return Tensor(filled(shape, value, dtype, device));
}
Tensor zeros(const Shape& shape, DType dtype, Device device) {
  return full(shape, 0, dtype, device);
}
Tensor ones(const Shape& shape, DType dtype, Device device) {
  return full(shape, 1, dtype, device);
}

/// An array of `count` values f(i), computed in double.
static Tensor generate(int64_t count, DType dtype, auto f) {
  const NDArray values = NDArray::empty({count}, DType::float64);
  for (int64_t i = 0; i < count; ++i) values.data<double>()[i] = f(static_cast<double>(i));
  return Tensor(cast(values, dtype));
}

Tensor arange(double start, double stop, double step, DType dtype) {
  if (step == 0) throw ValueError("arange: the step must not be 0");
  const double count = std::ceil((stop - start) / step);
  if (!(count < 1e15))
    throw ValueError(str("arange: ", start, " to ", stop, " by ", step, " is not a finite range"));
  return generate(count > 0 ? static_cast<int64_t>(count) : 0, dtype,
                  [&](double i) { return start + i * step; });
}

Tensor linspace(double start, double stop, int64_t count, DType dtype) {
  if (count < 0) throw ValueError(str("linspace: count ", count, " is negative"));
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  return generate(count, dtype, [&](double i) {
    return i == static_cast<double>(count - 1) && count > 1 ? stop : start + i * step;
  });
}

Tensor eye(int64_t n, DType dtype) {
  const NDArray out = filled({n, n}, 0, dtype);
  // The diagonal is a view of its own: one axis that steps over a row and a column at once.
  View diagonal = out.view();
  diagonal.shape = {n};
  diagonal.strides = {n + 1};
  fill(NDArray(out.storage(), diagonal), 1);
  return Tensor(out);
}

Tensor one_hot(const Tensor& labels, int64_t classes, DType dtype) {
  if (is_floating(labels.dtype()))
    throw TypeError(str("one_hot: labels are ", labels.dtype(), ", not int64"));
  const Tensor candidates = to_device(arange(0, static_cast<double>(classes)), labels.device());
  return cast(equal(unsqueeze(cast(labels, DType::int64), -1), candidates), dtype);
}

}  // namespace needle
