// matmul, outer, dot.  (Lessons 02 and 03)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct MatMul final : Op {
  const char* name() const override { return "matmul"; }

  Spec spec(Specs in) const override {
    const Shape& a = in[0].shape;
    const Shape& b = in[1].shape;
    if (a.back() != b[b.ndim() - 2]) {
      throw ValueError(str("matmul: ", a, " x ", b, ": inner sizes ", a.back(), " and ",
                           b[b.ndim() - 2], " differ"));
    }
    Shape shape = broadcast_shapes("matmul", batch_of(a), batch_of(b));
    shape.push_back(a[a.ndim() - 2]);
    shape.push_back(b.back());
    return {shape, in[0].dtype};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::matmul, name())(spread(in[0], out.shape()).view(),
                                      spread(in[1], out.shape()).view(), out.view());
  }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    // BEGIN SOLUTION hw1.matmul_gradient
    Tensors partial(2);
    if (c.wants(0)) partial[0] = sum_to(product(dy, transpose(c.input(1), -1, -2)), c.shape(0));
    if (!c.wants(1)) return partial;
    const Tensor a = c.input(0);
    if (c.shape(1).ndim() > 2) {
      partial[1] = sum_to(product(transpose(a, -1, -2), dy), c.shape(1));
    } else {
      // For a plain matrix, a weight, the sum over the batch and the product are one: A^T (k, rows)
      // times dY (rows, n) over all rows.
      int64_t rows = 1;
      for (int i = 0; i + 1 < a.ndim(); ++i) rows *= a.shape(i);
      const Tensor flat = reshape(a, {rows, a.shape().back()});
      partial[1] = product(transpose(flat, 0, 1), reshape(dy, {rows, dy.shape().back()}));
    }
    return partial;
    // END SOLUTION
  }

  bool takes_half() const override { return true; }

  static Tensor product(const Tensor& a, const Tensor& b) { return apply_op<MatMul>({a, b}); }

  static Shape batch_of(const Shape& shape) {
    Shape batch = shape;
    batch.erase(shape.ndim() - 1);
    batch.erase(shape.ndim() - 2);
    return batch;
  }

  /// x (..., r, s) with the batch axes of `out`.
  static NDArray spread(const NDArray& x, const Shape& out) {
    Shape shape = out;
    shape[out.ndim() - 2] = x.shape(x.ndim() - 2);
    shape[out.ndim() - 1] = x.shape(x.ndim() - 1);
    return x.broadcast_to(shape);
  }
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 0 || b.ndim() == 0) {
    throw ValueError(
        str("matmul: ", a.shape(), " x ", b.shape(), ": a scalar has no inner axis; use mul"));
  }
  const DType dtype = promote(a.dtype(), b.dtype());
  if (!is_floating(dtype))
    throw TypeError(str("matmul: not for ", dtype, "; cast to float32 first"));
  const Tensor left = cast(a.ndim() == 1 ? unsqueeze(a, 0) : a, dtype);
  const Tensor right = cast(b.ndim() == 1 ? unsqueeze(b, 1) : b, dtype);
  Tensor out;
  if ((left.size() == 0 || right.size() == 0) &&
      left.shape().back() == right.shape(right.ndim() - 2)) {
    // Without elements: sums of no products, (..., m, k, 1) times (..., 1, k, n) over k.
    const DType wide = is_half(dtype) ? DType::float32 : dtype;
    const Tensor columns = unsqueeze(cast(left, wide), -1), rows = unsqueeze(cast(right, wide), -3);
    out = cast(sum(mul(columns, rows), Shape{-2}), dtype);
  } else if (left.ndim() > 2 && right.ndim() == 2) {
    // Many rows times one matrix: a single product, and a single gradient of the matrix.
    Shape shape = left.shape();
    if (shape.back() != right.shape(0))
      return apply_op<MatMul>({left, right});  // says what differs
    shape.back() = right.shape(1);
    Shape rows{left.size() / std::max<int64_t>(1, left.shape().back()), left.shape().back()};
    out = left.size() ? reshape(apply_op<MatMul>({reshape(left, rows), right}), shape)
                      : apply_op<MatMul>({left, right});
  } else {
    out = apply_op<MatMul>({left, right});
  }
  if (a.ndim() == 1) out = squeeze(out, -2);
  if (b.ndim() == 1) out = squeeze(out, -1);
  return out;
}

static void check_vectors(const char* name, const Tensor& a, const Tensor& b, bool same_size) {
  if (a.ndim() != 1 || b.ndim() != 1 || (same_size && a.shape(0) != b.shape(0))) {
    throw ValueError(str(name, ": ", a.shape(), " and ", b.shape(), "; wanted two vectors",
                         same_size ? " of one size" : ""));
  }
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_vectors("outer", a, b, false);
  return mul(unsqueeze(a, 1), b);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check_vectors("dot", a, b, true);
  return is_floating(promote(a.dtype(), b.dtype())) ? matmul(a, b) : sum(mul(a, b));
}

}  // namespace needle
