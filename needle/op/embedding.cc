// embedding: rows of a table by index.  (Lesson 06)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Inputs: table (rows, ...), index (...) int64.
struct Embedding final : Op {
  const char* name() const override { return "embedding"; }

  Spec spec(Specs in) const override {
    Shape shape = in[1].shape;
    for (int axis = 1; axis < in[0].shape.ndim(); ++axis) shape.push_back(in[0].shape[axis]);
    return {shape, in[0].dtype};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::gather, name())(in[0].view(), in[1].view(), out.view());
  }

  uint32_t saves() const override { return kInput1; }
  bool takes_half() const override { return true; }
  Tensors gradient(const Tensor& dy, const Context& c) const override;
};

/// Rows of x added up in a table: the gradient of embedding. Inputs: x, index.
struct ScatterRows final : Op {
  Shape table;

  explicit ScatterRows(const Shape& t) : table(t) {}
  const char* name() const override { return "scatter_rows"; }
  Spec spec(Specs in) const override { return {table, in[0].dtype}; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::scatter_rows, name())(in[1].view(), in[0].view(), out.view());
  }

  uint32_t saves() const override { return kInput1; }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {apply_op<Embedding>({dy, c.input(1)}), Tensor()};
  }
};

Tensors Embedding::gradient(const Tensor& dy, const Context& c) const {
  return {scatter_rows(dy, c.input(1), c.shape(0)[0]), Tensor()};
}

}  // namespace

Tensor scatter_rows(const Tensor& x, const Tensor& index, int64_t rows) {
  Shape table{rows};
  for (int axis = index.ndim(); axis < x.ndim(); ++axis) table.push_back(x.shape(axis));
  if (is_half(x.dtype()))
    return cast(scatter_rows(cast(x, DType::float32), index, rows), x.dtype());
  return apply_op<ScatterRows>({x, index}, table);
}

Tensor embedding(const Tensor& table, const Tensor& index) {
  if (index.dtype() != DType::int64 && index.dtype() != DType::int32) {
    throw TypeError(str("embedding: the index is ", index.dtype(), ", not int64"));
  }
  if (table.ndim() == 0) throw ValueError("embedding: the table is a scalar; wanted (rows, ...)");
  const Tensor rows = cast(index, DType::int64);
  const NDArray host = contiguous(to_device(rows.value(), Device{}));
  const int64_t* given = host.data<int64_t>();
  for (int64_t i = 0; i < host.size(); ++i) {
    const int64_t row = given[i];
    if (row < 0 || row >= table.shape(0)) {
      throw IndexError(str("embedding: index ", row, " is not in [0, ", table.shape(0), ")"));
    }
  }
  return gather_rows(table, rows);
}

Tensor gather_rows(const Tensor& table, const Tensor& index) {
  return apply_op<Embedding>({table, index});
}

}  // namespace needle
