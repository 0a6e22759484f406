// Elements picked by index along one axis, and added back by index.  (Lesson 06)
//
// All of them are gather_rows() on another view of the same tensor: a tensor flattened to one axis is
// a table whose rows are single elements, and the place of an element is the sum of index * stride.
#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// The index as int64 in [0, n); negative ones count from the end. IndexError outside.
Tensor positions(const char* name, const Tensor& index, int64_t n) {
  if (index.dtype() != DType::int64 && index.dtype() != DType::int32) {
    throw TypeError(str(name, ": the index is ", index.dtype(), ", not int64"));
  }
  const Tensor wide = cast(index, DType::int64);
  const NDArray host = contiguous(to_device(wide.value(), Device{}));
  const int64_t* given = host.data<int64_t>();
  bool negative = false;
  for (int64_t i = 0; i < host.size(); ++i) {
    const int64_t at = given[i];
    if (at < -n || at >= n) {
      throw IndexError(str(name, ": index ", at, " is out of range for an axis of size ", n));
    }
    negative |= at < 0;
  }
  const Tensor zero = scalar_like(wide, 0);
  return negative ? where(less(wide, zero), add(wide, static_cast<double>(n)), wide) : wide;
}

/// Where the elements (i..., index[i...], j...) of a compact tensor of this shape lie.
Tensor flat_positions(const Shape& shape, int axis, const Tensor& index) {
  const Shape strides = compact_strides(shape);
  Tensor flat = mul(index, static_cast<double>(strides[axis]));
  for (int i = 0; i < shape.ndim(); ++i) {
    if (i == axis) continue;
    Shape along = Shape::filled(shape.ndim(), 1);
    along[i] = index.shape(i);
    const Tensor steps = arange(0, static_cast<double>(along[i]));
    const Tensor offsets = mul(to_device(steps, index.device()), static_cast<double>(strides[i]));
    flat = add(flat, reshape(offsets, along));
  }
  return flat;
}

/// ValueError unless `index` has x's rank and, beside the axis, nothing that x lacks.
void check_index(const char* name, const Tensor& x, int axis, const Tensor& index) {
  bool fits = index.ndim() == x.ndim();
  for (int i = 0; fits && i < x.ndim(); ++i) fits = i == axis || index.shape(i) <= x.shape(i);
  if (!fits) {
    throw ValueError(str(name, ": index ", index.shape(), " for ", x.shape(), " along axis ", axis,
                         "; wanted as many axes, none but that one longer"));
  }
}

}  // namespace

Tensor gather(const Tensor& x, int64_t axis, const Tensor& index) {
  const int i = normalize_axis("gather", axis, x.ndim());
  check_index("gather", x, i, index);
  const Tensor at = positions("gather", index, x.shape(i));
  return gather_rows(reshape(x, {x.size()}), flat_positions(x.shape(), i, at));
}

Tensor take_along_dim(const Tensor& x, const Tensor& index, std::optional<int64_t> axis) {
  if (!axis) return gather(reshape(x, {x.size()}), 0, reshape(index, {index.size()}));
  const int i = normalize_axis("take_along_dim", *axis, x.ndim());
  if (index.ndim() != x.ndim()) {
    throw ValueError(
        str("take_along_dim: index ", index.shape(), " for ", x.shape(), "; wanted as many axes"));
  }
  Shape beside = x.shape(), wanted = index.shape();
  beside[i] = wanted[i] = 1;
  Shape common = broadcast_shapes("take_along_dim", beside, wanted);
  common[i] = x.shape(i);
  const Tensor all = broadcast_to(x, common);
  common[i] = index.shape(i);
  return gather(all, i, broadcast_to(index, common));
}

Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index) {
  const int i = normalize_axis("index_select", axis, x.ndim());
  if (index.ndim() != 1) {
    throw ValueError(str("index_select: the index has shape ", index.shape(), ", not one axis"));
  }
  const Tensor at = positions("index_select", index, x.shape(i));
  return transpose(gather_rows(transpose(x, i, 0), at), i, 0);
}

Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  refuse_half("scatter_add", x.dtype());
  if (!is_floating(x.dtype()) || source.dtype() != x.dtype()) {
    throw TypeError(str("scatter_add: ", source.dtype(), " into ", x.dtype(),
                        "; wanted float32 or float64, the same for both"));
  }
  const int i = normalize_axis("scatter_add", axis, x.ndim());
  check_index("scatter_add", x, i, index);
  check_index("scatter_add", source, -1, index);
  Tensor part = source;
  for (int a = 0; a < x.ndim(); ++a) {
    if (index.shape(a) < part.shape(a)) part = slice(part, a, {0, index.shape(a)});
  }
  const Tensor at = positions("scatter_add", index, x.shape(i));
  const Tensor sums = scatter_rows(part, flat_positions(x.shape(), i, at), x.size());
  return add(x, reshape(sums, x.shape()));
}

}  // namespace needle
