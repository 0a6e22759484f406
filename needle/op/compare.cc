// Comparisons: bool tensors, outside of any graph.  (Lesson 02)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct CompareOp final : Op {
  Compare kind;

  explicit CompareOp(Compare k) : kind(k) {}
  const char* name() const override { return "compare"; }

  Spec spec(Specs in) const override {
    return {broadcast_shapes(name(), in[0].shape, in[1].shape), DType::bool_};
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::compare, name())(kind, in[0].broadcast_to(out.shape()).view(),
                                       in[1].broadcast_to(out.shape()).view(), out.view());
  }

  // apply() hangs no node behind a bool output.
  Tensors gradient(const Tensor&, const Context&) const override { return {}; }
};

}  // namespace

Tensor compare(Compare kind, const Tensor& a, const Tensor& b) {
  const DType dtype = promote(a.dtype(), b.dtype());
  return apply_op<CompareOp>({cast(a, dtype), cast(b, dtype)}, kind);
}

Tensor equal(const Tensor& a, const Tensor& b) { return compare(Compare::equal, a, b); }
Tensor not_equal(const Tensor& a, const Tensor& b) { return compare(Compare::not_equal, a, b); }
Tensor less(const Tensor& a, const Tensor& b) { return compare(Compare::less, a, b); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return compare(Compare::less_equal, a, b); }
Tensor greater(const Tensor& a, const Tensor& b) { return compare(Compare::greater, a, b); }
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return compare(Compare::greater_equal, a, b);
}

static void check_bool(const char* name, const Tensor& x) {
  if (x.dtype() != DType::bool_) {
    throw TypeError(str(name, ": ", x.dtype(), " is not bool; compare it with something first"));
  }
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  check_bool("logical_and", a), check_bool("logical_and", b);
  return where(a, b, Tensor::scalar(0, DType::bool_, a.device()));
}

Tensor logical_or(const Tensor& a, const Tensor& b) {
  check_bool("logical_or", a), check_bool("logical_or", b);
  return where(a, Tensor::scalar(1, DType::bool_, a.device()), b);
}

Tensor logical_xor(const Tensor& a, const Tensor& b) {
  check_bool("logical_xor", a), check_bool("logical_xor", b);
  return not_equal(a, b);
}

Tensor logical_not(const Tensor& x) {
  check_bool("logical_not", x);
  return equal(x, Tensor::scalar(0, DType::bool_, x.device()));
}

}  // namespace needle
