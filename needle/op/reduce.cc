// Sums, extremes and what is made of them.  (Lessons 02 and 03)
#include <cmath>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

constexpr const char* kReduceNames[kReduces] = {"sum", "prod", "max", "min"};

/// `shape` with size 1 on the reduced axes. ValueError for an axis named twice.
Shape reduced_shape(const char* name, const Shape& shape, const Axes& axes) {
  if (!axes) return Shape::filled(shape.ndim(), 1);
  Shape out = shape;
  bool seen[kMaxDims] = {};
  for (int64_t axis : *axes) {
    const int i = normalize_axis(name, axis, shape.ndim());
    if (seen[i]) throw ValueError(str(name, ": axis ", i, " is named twice in ", *axes));
    seen[i] = true;
    out[i] = 1;
  }
  return out;
}

Shape without_axes(const Shape& shape, const Axes& axes) {
  Shape out;
  for (int i = 0; axes && i < shape.ndim(); ++i) {
    bool reduced = false;
    for (int64_t axis : *axes) reduced |= i == (axis < 0 ? axis + shape.ndim() : axis);
    if (!reduced) out.push_back(shape[i]);
  }
  return out;
}

/// Reduces to `to`, which has the rank of the input: the axes of size 1 are reduced.
struct ReduceOp final : Op {
  Reduce kind;
  Shape to;

  ReduceOp(Reduce k, const Shape& t) : kind(k), to(t) {}
  const char* name() const override { return kReduceNames[static_cast<int>(kind)]; }

  Spec spec(Specs in) const override { return {to, in[0].dtype}; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::reduce, name())(kind, in[0].view(), out.view());
  }

  uint32_t saves() const override { return kind == Reduce::sum ? kNothing : kInput0 | kOutput; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    const Shape& shape = c.shape(0);
    if (kind == Reduce::sum) return {sum_gradient(dy, shape)};
    const Tensor x = c.input(0);
    const Tensor y = c.output();
    if (kind == Reduce::prod) return {prod_gradient(dy, x)};
    // Equal extremes share the gradient.
    const Tensor mask = cast(equal(x, y), x.dtype());
    const Tensor ties = broadcast_to(sum_to(mask, to), shape);
    return {mul(div(mask, ties), broadcast_to(dy, shape))};
  }

  /// Every element that went into a sum gets the gradient of that sum.
  static Tensor sum_gradient(const Tensor& dy, const Shape& shape) {
    // BEGIN SOLUTION hw1.sum_gradient
    return broadcast_to(dy, shape);
    // END SOLUTION
  }

  /// dy times the product of all others. prod / x would fail at 0, so the product of the others
  /// is built from both sides along the (flattened) reduced axes.
  Tensor prod_gradient(const Tensor& dy, const Tensor& x) const {
    Shape kept, reduced;
    for (int i = 0; i < to.ndim(); ++i) (to[i] == 1 ? reduced : kept).push_back(i);
    Shape order = kept;
    for (int64_t axis : reduced) order.push_back(axis);
    const Tensor moved = permute(x, order);
    Shape flat;
    for (int i = 0; i < kept.ndim(); ++i) flat.push_back(moved.shape(i));
    int64_t n = 1;
    for (int i = kept.ndim(); i < moved.ndim(); ++i) n *= moved.shape(i);
    flat.push_back(n);
    const Tensor rows = reshape(moved, flat);  // (kept..., n)
    Tensors left, right(n);
    Shape one = flat;
    one.back() = 1;
    Tensor running = ones(one, x.dtype(), x.device());
    for (int64_t i = 0; i < n; ++i) {
      left.push_back(running);
      running = mul(running, slice(rows, -1, {i, i + 1, 1}));
    }
    running = ones(one, x.dtype(), x.device());
    for (int64_t i = n - 1; i >= 0; --i) {
      right[i] = running;
      running = mul(running, slice(rows, -1, {i, i + 1, 1}));
    }
    if (n == 0) return zeros(x.shape(), x.dtype(), x.device());
    const Tensor others = reshape(mul(concat(left, -1), concat(right, -1)), moved.shape());
    Shape inverse = order;
    for (int i = 0; i < order.ndim(); ++i) inverse[static_cast<int>(order[i])] = i;
    return mul(permute(others, inverse), broadcast_to(dy, x.shape()));
  }
};

Tensor reduce(Reduce kind, const Tensor& x, const Axes& axes, bool keepdims) {
  const char* name = kReduceNames[static_cast<int>(kind)];
  const Shape to = reduced_shape(name, x.shape(), axes);
  const bool extreme = kind == Reduce::max || kind == Reduce::min;
  if (extreme && x.size() == 0 && to.size() != 0) {
    throw ValueError(str(name, ": no elements to choose from in shape ", x.shape()));
  }
  // As in NumPy: bools and int32s are counted in int64.
  const bool narrow = x.dtype() == DType::bool_ || x.dtype() == DType::int32;
  const Tensor operand = narrow && !extreme ? cast(x, DType::int64) : x;
  const Tensor out = apply_op<ReduceOp>({operand}, kind, to);
  return keepdims ? out : reshape(out, without_axes(x.shape(), axes));
}

struct ArgReduceOp final : Op {
  ArgReduce kind;
  int axis;

  ArgReduceOp(ArgReduce k, int a) : kind(k), axis(a) {}
  const char* name() const override { return kind == ArgReduce::argmax ? "argmax" : "argmin"; }

  Spec spec(Specs in) const override {
    Shape shape = in[0].shape;
    if (shape[axis] == 0) {
      throw ValueError(str(name(), ": no elements along axis ", axis, " of ", shape));
    }
    shape[axis] = 1;
    return {shape, DType::int64};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::arg_reduce, name())(kind, in[0].view(), axis, out.view());
  }

  Tensors gradient(const Tensor&, const Context&) const override { return {}; }
};

Tensor arg_reduce(ArgReduce kind, const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  if (!axis) {
    const Tensor index = arg_reduce(kind, reshape(x, {-1}), 0, false);
    return keepdims ? reshape(index, Shape::filled(x.ndim(), 1)) : index;
  }
  const int i = normalize_axis(kind == ArgReduce::argmax ? "argmax" : "argmin", *axis, x.ndim());
  const Tensor index = apply_op<ArgReduceOp>({x}, kind, i);
  return keepdims ? index : squeeze(index, i);
}

/// How many elements of x one result is made of.
double count(const Tensor& x, const Tensor& result) {
  if (result.size() == 0) return 0;
  const int64_t elements = x.size() / result.size();
  return static_cast<double>(elements);
}

Tensor floating(const char* name, const Tensor& x) {
  refuse_half(name, x.dtype());
  return is_floating(x.dtype()) ? x : cast(x, DType::float32);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce(Reduce::sum, x, axes, keepdims);
}
Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce(Reduce::prod, x, axes, keepdims);
}
Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce(Reduce::max, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return reduce(Reduce::min, x, axes, keepdims);
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) {
  const Tensor total = sum(floating("mean", x), axes, keepdims);
  return div(total, count(x, total));
}

Tensor var(const Tensor& x, const Axes& axes, int correction, bool keepdims) {
  const Tensor values = floating("var", x);
  const Tensor distance = sub(values, mean(values, axes, true));
  const Tensor total = sum(mul(distance, distance), axes, keepdims);
  return div(total, std::fmax(0, count(x, total) - correction));
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdims) {
  const Tensor values = floating("logsumexp", x);
  // BEGIN SOLUTION hw1.logsumexp
  Tensor largest = max(values, axes, true).detach();
  // Rows of only -inf (or with +inf) have no finite largest element to subtract.
  const Tensor finite = less(abs(largest), Tensor::scalar(INFINITY, values.dtype(), x.device()));
  largest = where(finite, largest, scalar_like(largest, 0));
  const Tensor total = log(sum(exp(sub(values, largest)), axes, true));
  const Tensor out = add(total, largest);
  return keepdims ? out : reshape(out, without_axes(x.shape(), axes));
  // END SOLUTION
}

Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  refuse_half("any", x.dtype());
  const Tensor zero = Tensor::scalar(0, x.dtype(), x.device());
  return greater(sum(not_equal(x, zero), axes, keepdims),
                 Tensor::scalar(0, DType::int64, x.device()));
}

Tensor all(const Tensor& x, const Axes& axes, bool keepdims) {
  refuse_half("all", x.dtype());
  const Tensor zero = Tensor::scalar(0, x.dtype(), x.device());
  return equal(sum(equal(x, zero), axes, keepdims), Tensor::scalar(0, DType::int64, x.device()));
}

Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce(ArgReduce::argmax, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce(ArgReduce::argmin, x, axis, keepdims);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (is_half(x.dtype())) return cast(sum_to(cast(x, DType::float32), shape), x.dtype());
  // BEGIN SOLUTION hw1.sum_to
  const int added = x.ndim() - shape.ndim();
  Shape to = x.shape();
  for (int i = 0; i < x.ndim(); ++i) {
    if (i < added || shape[i - added] == 1) to[i] = 1;
  }
  return reshape(apply_op<ReduceOp>({x}, Reduce::sum, to), shape);
  // END SOLUTION
}

}  // namespace needle
