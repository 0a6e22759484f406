// Ops that only look at the same memory in another way.  (Lessons 02 and 03)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// All but reshape of a layout that needs a copy are views.
struct Reshape final : ViewOp {
  Shape shape;

  explicit Reshape(const Shape& s) : shape(s) {}
  const char* name() const override { return "reshape"; }
  NDArray view(const NDArray& x) const override { return needle::reshape(x, shape); }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {reshape(dy, c.shape(0))};
  }
};

struct Permute final : ViewOp {
  Shape axes;

  explicit Permute(const Shape& a) : axes(a) {}
  const char* name() const override { return "permute"; }
  NDArray view(const NDArray& x) const override { return x.permute(axes); }
  Tensors gradient(const Tensor& dy, const Context&) const override {
    Shape inverse = axes;
    for (int i = 0; i < axes.ndim(); ++i) {
      inverse[normalize_axis("permute", axes[i], axes.ndim())] = i;
    }
    return {permute(dy, inverse)};
  }
};

struct Transpose final : ViewOp {
  int64_t axis0, axis1;

  Transpose(int64_t i, int64_t j) : axis0(i), axis1(j) {}
  const char* name() const override { return "transpose"; }
  NDArray view(const NDArray& x) const override { return x.transpose(axis0, axis1); }
  Tensors gradient(const Tensor& dy, const Context&) const override {
    return {transpose(dy, axis0, axis1)};
  }
};

struct BroadcastTo final : ViewOp {
  Shape shape;

  explicit BroadcastTo(const Shape& s) : shape(s) {}
  const char* name() const override { return "broadcast_to"; }
  NDArray view(const NDArray& x) const override { return x.broadcast_to(shape); }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {sum_to(dy, c.shape(0))};
  }
};

/// x into zeros of a larger shape, at the place that slice() would read: the gradient of slice.
struct Unslice final : Op {
  Shape shape;
  int64_t axis;
  Slice where;

  Unslice(const Shape& s, int64_t a, const Slice& w) : shape(s), axis(a), where(w) {}
  const char* name() const override { return "unslice"; }
  Spec spec(Specs in) const override { return {shape, in[0].dtype}; }
  void forward(const Kernels&, Arrays in, const NDArray& out) override {
    fill(out, 0);
    assign(out.slice(axis, where), in[0]);
  }
  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }
  Tensors gradient(const Tensor& dy, const Context&) const override {
    return {slice(dy, axis, where)};
  }
};

struct SliceOp final : ViewOp {
  int64_t axis;
  Slice where;

  SliceOp(int64_t a, const Slice& w) : axis(a), where(w) {}
  const char* name() const override { return "slice"; }
  NDArray view(const NDArray& x) const override { return x.slice(axis, where); }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {apply_op<Unslice>({dy}, c.shape(0), axis, where)};
  }
};

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) { return apply_op<Reshape>({x}, shape); }
Tensor permute(const Tensor& x, const Shape& axes) { return apply_op<Permute>({x}, axes); }
Tensor transpose(const Tensor& x, int64_t axis0, int64_t axis1) {
  return apply_op<Transpose>({x}, axis0, axis1);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return x.shape() == shape ? x : apply_op<BroadcastTo>({x}, shape);
}

Tensor slice(const Tensor& x, int64_t axis, const Slice& where) {
  return apply_op<SliceOp>({x}, axis, where);
}

Tensor flip(const Tensor& x, int64_t axis) { return slice(x, axis, {{}, {}, -1}); }

Tensor unsqueeze(const Tensor& x, int64_t axis) {
  Shape shape = x.shape();
  shape.insert(normalize_axis("unsqueeze", axis, x.ndim() + 1), 1);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, int64_t axis) {
  const int i = normalize_axis("squeeze", axis, x.ndim());
  if (x.shape(i) != 1) {
    throw ValueError(
        str("squeeze: axis ", i, " of ", x.shape(), " has size ", x.shape(i), ", not 1"));
  }
  Shape shape = x.shape();
  shape.erase(i);
  return reshape(x, shape);
}

Tensor select(const Tensor& x, int64_t axis, int64_t index) {
  const int i = normalize_axis("select", axis, x.ndim());
  const int64_t size = x.shape(i);
  if (index < -size || index >= size) {
    throw IndexError(
        str("select: index ", index, " is out of range for axis ", i, " of size ", size));
  }
  if (index < 0) index += size;
  return squeeze(slice(x, i, {index, index + 1, 1}), i);
}

}  // namespace needle
