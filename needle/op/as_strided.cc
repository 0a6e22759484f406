// as_strided: any view of the memory behind a tensor.  (Lesson 02)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct AsStrided final : ViewOp {
  Shape shape, strides;
  int64_t first;
  View source;  // x's own view of the memory; its data pointer is not used
  int64_t source_first = 0;
  int64_t elements;  // in all of the memory

  AsStrided(const Tensor& x, const Shape& s, const Shape& t, int64_t f)
      : shape(s),
        strides(t),
        first(f),
        source(x.value().view()),
        source_first(x.value().offset()),
        elements(static_cast<int64_t>(x.value().storage()->bytes()) / size_of(x.dtype())) {}
  const char* name() const override { return "as_strided"; }
  NDArray view(const NDArray& x) const override { return x.as_strided(shape, strides, first); }

  /// dy is added up at the places of the memory that it was read from; x's gradient is then the
  /// same memory seen through x's own strides.
  Tensors gradient(const Tensor& dy, const Context&) const override {
    const Tensor places = to_device(arange(0, static_cast<double>(elements)), dy.device());
    const Tensor memory = scatter_rows(dy, as_strided(places, shape, strides, first), elements);
    return {as_strided(memory, source.shape, source.strides, source_first)};
  }
};

}  // namespace

Tensor as_strided(const Tensor& x, const Shape& shape, const Shape& strides, int64_t offset) {
  for (int i = 0; x.requires_grad() && i < x.ndim(); ++i) {
    if (x.shape(i) > 1 && x.value().strides()[i] == 0) {
      throw RuntimeError(str("as_strided: axis ", i, " of ", x.shape(), " is broadcast, so that ",
                             "elements share memory and gradient; use contiguous() first"));
    }
  }
  return apply_op<AsStrided>({x}, x, shape, strides, offset);
}

}  // namespace needle
