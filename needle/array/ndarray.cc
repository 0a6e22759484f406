// The views of an array: arithmetic on shapes and strides, no element is touched.  (Lesson 02)
#include "needle/array/ndarray.h"

#include <algorithm>

namespace needle {

NDArray NDArray::empty(const Shape& shape, DType dtype, Device device) {
  int64_t bytes = size_of(dtype);
  for (int64_t size : shape) {
    if (size < 0) throw ValueError(str("empty: negative size in shape ", shape));
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
      throw ValueError(str("empty: shape ", shape, " has more bytes than memory has addresses"));
    }
  }
  if (shape.size() == 0) bytes = 0;
  Ref<Storage> storage = Storage::allocate(static_cast<size_t>(bytes), device);
  const View view{storage->data(), dtype, shape, compact_strides(shape)};
  return {std::move(storage), view};
}

int64_t NDArray::offset() const {
  const char* base = static_cast<const char*>(storage_->data());
  return (static_cast<const char*>(view_.data) - base) / size_of(dtype());
}

const void* NDArray::checked_data(DType wanted) const {
  if (wanted != dtype()) {
    throw TypeError(str("data: the array is ", dtype(), ", not ", wanted));
  }
  if (!device().is_host()) {
    throw RuntimeError(str("data: the array is on ", device(), "; copy it with to(cpu) first"));
  }
  return view_.data;
}

NDArray NDArray::with(const Shape& shape, const Shape& strides, int64_t first) const {
  char* data = static_cast<char*>(view_.data) + first * size_of(dtype());
  return {storage_, View{data, dtype(), shape, strides}};
}

Shape infer_shape(const char* name, const Shape& shape, int64_t size) {
  Shape out = shape;
  int inferred = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.ndim(); ++i) {
    if (shape[i] == -1 && inferred < 0) {
      inferred = i;
    } else if (shape[i] < 0) {
      throw ValueError(str(name, ": shape ", shape, " has ",
                           shape[i] == -1 ? "more than one -1" : "a negative size"));
    } else if (__builtin_mul_overflow(known, shape[i], &known)) {
      throw ValueError(str(name, ": shape ", shape, " has more elements than can be counted"));
    }
  }
  if (inferred >= 0 && known != 0) out[inferred] = size / known;
  if (inferred >= 0 ? (known == 0 || size % known != 0) : known != size) {
    throw ValueError(str(name, ": ", size, " elements do not fit shape ", shape));
  }
  return out;
}

std::optional<NDArray> NDArray::try_reshape(const Shape& wanted) const {
  const Shape shape = infer_shape("reshape", wanted, size());
  if (size() == 0 || is_contiguous()) return with(shape, compact_strides(shape));

  // BEGIN SOLUTION hw1.reshape
  // Walk both shapes from the right in groups of equal size. Inside a group the old axes must lie
  // in memory like one long axis; then the new axes are cut out of it.
  Shape strides = shape;
  int old_axis = ndim() - 1;
  int new_axis = shape.ndim() - 1;
  while (new_axis >= 0) {
    while (old_axis >= 0 && view_.shape[old_axis] == 1) --old_axis;
    if (old_axis < 0) {  // only axes of size 1 are left
      strides[new_axis--] = 1;
      continue;
    }
    const int64_t stride = view_.strides[old_axis];
    int64_t old_size = view_.shape[old_axis];
    int64_t new_size = 1;
    int64_t next_stride = stride;
    do {
      while (new_size < old_size) {
        strides[new_axis] = next_stride;
        next_stride *= shape[new_axis];
        new_size *= shape[new_axis--];
      }
      while (old_size < new_size) {
        --old_axis;
        if (view_.shape[old_axis] != 1 && view_.strides[old_axis] != stride * old_size) {
          return std::nullopt;
        }
        old_size *= view_.shape[old_axis];
      }
    } while (new_size != old_size);
    --old_axis;
  }
  return with(shape, strides);
  // END SOLUTION
}

NDArray NDArray::permute(const Shape& axes) const {
  // BEGIN SOLUTION hw1.permute
  Shape shape = view_.shape;
  Shape strides = view_.strides;
  bool seen[kMaxDims] = {};
  bool valid = axes.ndim() == ndim();
  for (int i = 0; valid && i < ndim(); ++i) {
    const int axis = normalize_axis("permute", axes[i], ndim());
    valid = !seen[axis];
    seen[axis] = true;
    shape[i] = view_.shape[axis];
    strides[i] = view_.strides[axis];
  }
  if (!valid) {
    throw ValueError(
        str("permute: ", axes, " is not a permutation of the ", ndim(), " axes of ", view_.shape));
  }
  return with(shape, strides);
  // END SOLUTION
}

NDArray NDArray::transpose(int64_t axis0, int64_t axis1) const {
  const int i = normalize_axis("transpose", axis0, ndim());
  const int j = normalize_axis("transpose", axis1, ndim());
  Shape shape = view_.shape;
  Shape strides = view_.strides;
  std::swap(shape[i], shape[j]);
  std::swap(strides[i], strides[j]);
  return with(shape, strides);
}

NDArray NDArray::broadcast_to(const Shape& shape) const {
  // BEGIN SOLUTION hw1.broadcast_to
  const int added = shape.ndim() - ndim();
  bool fits = added >= 0;
  Shape strides = Shape::filled(shape.ndim(), 0);
  for (int i = 0; fits && i < ndim(); ++i) {
    const int64_t wanted = shape[added + i];
    fits = view_.shape[i] == wanted || view_.shape[i] == 1;
    if (view_.shape[i] == wanted) strides[added + i] = view_.strides[i];
  }
  if (!fits) throw ValueError(str("broadcast_to: ", view_.shape, " does not broadcast to ", shape));
  return with(shape, strides);
  // END SOLUTION
}

NDArray NDArray::slice(int64_t axis, const Slice& slice) const {
  const int i = normalize_axis("slice", axis, ndim());
  // BEGIN SOLUTION hw1.slice
  const int64_t size = view_.shape[i];
  // A step beyond the size finds one element, like one just beyond it, which cannot overflow.
  const int64_t step = std::clamp(slice.step, -size - 1, size + 1);
  if (step == 0) throw ValueError("slice: the step must not be 0");
  // Python's rule: a positive step walks inside [0, size], a negative one inside [-1, size - 1].
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? size : size - 1;
  const auto clamp = [&](int64_t index) {
    return std::clamp(index < 0 ? index + size : index, low, high);
  };
  const int64_t start = slice.start ? clamp(*slice.start) : (step > 0 ? low : high);
  const int64_t stop = slice.stop ? clamp(*slice.stop) : (step > 0 ? high : low);
  const int64_t distance = step > 0 ? stop - start : start - stop;
  const int64_t count = distance <= 0 ? 0 : (distance - 1) / std::abs(step) + 1;

  Shape shape = view_.shape;
  Shape strides = view_.strides;
  shape[i] = count;
  strides[i] *= step;
  return with(shape, strides, count == 0 ? 0 : start * view_.strides[i]);
  // END SOLUTION
}

NDArray NDArray::select(int64_t axis, int64_t index) const {
  const int i = normalize_axis("select", axis, ndim());
  const int64_t size = view_.shape[i];
  if (index < -size || index >= size) {
    throw IndexError(
        str("select: index ", index, " is out of range for axis ", i, " of size ", size));
  }
  Shape shape = view_.shape;
  Shape strides = view_.strides;
  shape.erase(i);
  strides.erase(i);
  return with(shape, strides, (index < 0 ? index + size : index) * view_.strides[i]);
}

NDArray NDArray::unsqueeze(int64_t axis) const {
  const int i = normalize_axis("unsqueeze", axis, ndim() + 1);
  Shape shape = view_.shape;
  Shape strides = view_.strides;
  shape.insert(i, 1);
  strides.insert(i, 1);
  return with(shape, strides);
}

NDArray NDArray::squeeze(int64_t axis) const {
  const int i = normalize_axis("squeeze", axis, ndim());
  if (view_.shape[i] != 1) {
    throw ValueError(
        str("squeeze: axis ", i, " of ", view_.shape, " has size ", view_.shape[i], ", not 1"));
  }
  return select(i, 0);
}

NDArray NDArray::flip(int64_t axis) const { return slice(axis, {{}, {}, -1}); }

NDArray NDArray::as_strided(const Shape& shape, const Shape& strides, int64_t first) const {
  if (shape.ndim() != strides.ndim()) {
    throw ValueError(str("as_strided: ", strides, " has not one stride for each axis of ", shape));
  }
  const int64_t elements = static_cast<int64_t>(storage_->bytes()) / size_of(dtype());
  int64_t lowest = first, highest = first, count = 1;
  bool counted = true;
  for (int i = 0; i < shape.ndim(); ++i) {
    if (shape[i] < 0) throw ValueError(str("as_strided: negative size in shape ", shape));
    int64_t reach = 0;
    counted &= !__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &reach);
    int64_t& end = reach < 0 ? lowest : highest;
    counted &= !__builtin_add_overflow(end, reach, &end);
    counted &= !__builtin_mul_overflow(count, std::max<int64_t>(shape[i], 1), &count);
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (!counted || first < 0 || (!empty && (lowest < 0 || highest >= elements))) {
    throw ValueError(str("as_strided: shape ", shape, ", strides ", strides, ", offset ", first,
                         " reach outside of the ", elements, " elements of the memory"));
  }
  return {storage_,
          View{static_cast<char*>(storage_->data()) + (empty ? 0 : first) * size_of(dtype()),
               dtype(), shape, strides}};
}

}  // namespace needle
