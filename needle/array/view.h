// View: an array as a kernel sees it: memory and its description, without ownership.  (Lesson 02)
#pragma once

#include "needle/array/dtype.h"
#include "needle/array/shape.h"

namespace needle {

/// Element (i, j, ...) lies at data + (i * strides[0] + j * strides[1] + ...) elements.
/// A stride may be 0 (a broadcast axis) or negative (a flipped one).
struct View {
  void* data = nullptr;  // the element with all indices 0
  DType dtype = DType::float32;
  Shape shape;
  Shape strides;  // in elements

  [[gnu::always_inline]] int ndim() const { return shape.ndim(); }
  [[gnu::always_inline]] int64_t size() const { return shape.size(); }
  template <class T>
  [[gnu::always_inline]] T* as() const {
    return static_cast<T*>(data);
  }
  /// Row-major without gaps. Strides of axes of size 1 do not matter.
  [[gnu::always_inline]] bool is_contiguous() const {
    int64_t expected = 1;
    for (int i = ndim() - 1; i >= 0; --i) {
      if (shape[i] != 1 && strides[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }
};

}  // namespace needle
