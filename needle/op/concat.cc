// Joining tensors, and cutting them.  (Lessons 02 and 03)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct Concat final : Op {
  int axis;

  explicit Concat(int a) : axis(a) {}
  const char* name() const override { return "concat"; }

  Spec spec(Specs in) const override {
    Spec out = in[0];
    for (size_t i = 1; i < in.size(); ++i) {
      Shape shape = in[i].shape;
      bool fits = shape.ndim() == out.shape.ndim();
      if (fits) {
        const int64_t size = shape[axis];
        shape[axis] = out.shape[axis];
        fits = shape == out.shape;
        out.shape[axis] += size;
      }
      if (!fits) {
        throw ValueError(str("concat: shapes ", in[0].shape, " and ", in[i].shape,
                             " differ in more than axis ", axis));
      }
    }
    return out;
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    int64_t start = 0;
    for (const NDArray& part : in) {
      const int64_t stop = start + part.shape(axis);
      slot(k, &Kernels::copy, name())(part.view(), out.slice(axis, {start, stop, 1}).view());
      start = stop;
    }
  }

  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    Tensors partial(c.inputs());
    int64_t start = 0;
    for (int i = 0; i < c.inputs(); ++i) {
      const int64_t stop = start + c.shape(i)[axis];
      if (c.wants(i)) partial[i] = slice(dy, axis, {start, stop, 1});
      start = stop;
    }
    return partial;
  }
};

}  // namespace

Tensor concat(const Tensors& parts, int64_t axis) {
  if (parts.empty()) throw ValueError("concat: no tensors");
  DType dtype = parts[0].dtype();
  for (const Tensor& part : parts) dtype = promote(dtype, part.dtype());
  Tensors converted;
  for (const Tensor& part : parts) converted.push_back(cast(part, dtype));
  const int i = normalize_axis("concat", axis, parts[0].ndim());
  return apply_op(std::make_unique<Concat>(i), converted);
}

Tensor stack(const Tensors& parts, int64_t axis) {
  Tensors raised;
  for (const Tensor& part : parts) {
    if (part.shape() != parts[0].shape()) {
      throw ValueError(str("stack: shapes ", parts[0].shape(), " and ", part.shape(), " differ"));
    }
    raised.push_back(unsqueeze(part, axis));
  }
  if (raised.empty()) throw ValueError("stack: no tensors");
  return concat(raised, axis);
}

Tensors split(const Tensor& x, const Shape& sizes, int64_t axis) {
  const int i = normalize_axis("split", axis, x.ndim());
  Tensors parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    if (size < 0) throw ValueError(str("split: negative size in ", sizes));
    parts.push_back(slice(x, i, {start, start + size, 1}));
    start += size;
  }
  if (start != x.shape(i)) {
    throw ValueError(str("split: sizes ", sizes, " add up to ", start, ", but axis ", i,
                         " has size ", x.shape(i)));
  }
  return parts;
}

Tensors chunk(const Tensor& x, int64_t count, int64_t axis) {
  if (count < 1) throw ValueError(str("chunk: ", count, " pieces; wanted at least 1"));
  const int i = normalize_axis("chunk", axis, x.ndim());
  const int64_t n = x.shape(i);
  const int64_t size = std::max<int64_t>(1, n / count + (n % count != 0));
  Tensors parts;
  for (int64_t start = 0; start < n; start += size) {
    parts.push_back(slice(x, i, {start, start + size}));
  }
  if (n == 0) parts.push_back(x);
  return parts;
}

}  // namespace needle
