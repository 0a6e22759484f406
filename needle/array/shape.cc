// Shapes and strides.  (Lesson 02)
#include "needle/array/shape.h"

#include <algorithm>
#include <ostream>

#include "needle/array/error.h"

namespace needle {

Shape::Shape(std::span<const int64_t> sizes) {
  for (int64_t size : sizes) push_back(size);
}

Shape Shape::filled(int n, int64_t size) {
  Shape shape;
  for (int i = 0; i < n; ++i) shape.push_back(size);
  return shape;
}

void Shape::push_back(int64_t size) { insert(ndim_, size); }

void Shape::insert(int axis, int64_t size) {
  if (ndim_ == kMaxDims) throw ValueError(str("shape: more than ", kMaxDims, " axes"));
  std::move_backward(sizes_ + axis, sizes_ + ndim_, sizes_ + ndim_ + 1);
  sizes_[axis] = size;
  ++ndim_;
}

void Shape::erase(int axis) {
  std::move(sizes_ + axis + 1, sizes_ + ndim_, sizes_ + axis);
  --ndim_;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int i = 0; i < shape.ndim(); ++i) out << (i ? ", " : "") << shape[i];
  return out << (shape.ndim() == 1 ? ",)" : ")");
}

Shape compact_strides(const Shape& shape) {
  // BEGIN SOLUTION hw1.compact_strides
  Shape strides = shape;
  int64_t stride = 1;
  for (int i = shape.ndim() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
  // END SOLUTION
}

Shape broadcast_shapes(const char* name, const Shape& a, const Shape& b) {
  // BEGIN SOLUTION hw1.broadcast_shapes
  const int ndim = std::max(a.ndim(), b.ndim());
  Shape out = Shape::filled(ndim, 1);
  for (int i = 1; i <= ndim; ++i) {  // i counts axes from the right
    const int64_t m = i <= a.ndim() ? a[a.ndim() - i] : 1;
    const int64_t n = i <= b.ndim() ? b[b.ndim() - i] : 1;
    if (m != n && m != 1 && n != 1) {
      throw ValueError(str(name, ": shapes ", a, " and ", b, " do not broadcast: sizes ", m,
                           " and ", n, " differ and neither is 1"));
    }
    out[ndim - i] = m == 1 ? n : m;
  }
  return out;
  // END SOLUTION
}

int normalize_axis(const char* name, int64_t axis, int ndim) {
  if (axis < -ndim || axis >= ndim) {
    throw IndexError(str(name, ": axis ", axis, " is outside [", -ndim, ", ", ndim,
                         ") of an array with ", ndim, ndim == 1 ? " axis" : " axes"));
  }
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

}  // namespace needle
