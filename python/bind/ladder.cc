// The rungs of the ladders, callable one by one.  (Lesson 04)
#include "needle/backend/ladder.h"

#include "bind.h"
#include "needle/backend/registry.h"

namespace needle::python {
namespace {

/// A rung of any ladder. `slot` is the table's own function of the same kernel.
template <class F>
struct Bound {
  Rung<F> rung;
  F slot;
};

/// Throws unless every rung can take x: on the cpu, float32, compact.
void check_operand(const std::string& who, const char* name, const Tensor& x) {
  if (x.device() != Device{}) {
    throw ValueError(str(who, ": ", name, " is on ", x.device(), "; move it with to(\"cpu\")"));
  }
  if (x.dtype() != DType::float32) {
    throw TypeError(str(who, ": ", name, " is ", x.dtype(), "; the rungs know float32 alone"));
  }
  if (!x.value().is_contiguous()) {
    throw ValueError(str(who, ": ", name, " of shape ", x.shape(), " has strides ",
                         x.value().strides(), "; make it compact with contiguous()"));
  }
}

Tensor run(const Bound<decltype(Kernels::matmul)>& bound, const In& a, const In& b) {
  const std::string who = str("matmul ", bound.rung.name);
  const Shape &left = a.tensor.shape(), &right = b.tensor.shape();
  if (left.ndim() != 2 || right.ndim() != 2) {
    throw ValueError(str(who, ": ", left, " x ", right, ": two matrices are wanted"));
  }
  if (left[1] != right[0]) {
    throw ValueError(str(who, ": ", left, " x ", right, ": inner sizes ", left[1], " and ",
                         right[0], " differ"));
  }
  check_operand(who, "a", a.tensor);
  check_operand(who, "b", b.tensor);
  const NDArray out = NDArray::empty({left[0], right[1]}, DType::float32);
  released(left[0] * right[1] * left[1],
           [&] { bound.rung.run(a.tensor.value().view(), b.tensor.value().view(), out.view()); });
  return Tensor(out);
}

Tensor run(const Bound<decltype(Kernels::softmax)>& bound, const In& x) {
  const std::string who = str("softmax ", bound.rung.name);
  if (x.tensor.shape().ndim() == 0) throw ValueError(who + ": x has no axis");
  check_operand(who, "x", x.tensor);
  const NDArray out = NDArray::empty(x.tensor.shape(), DType::float32);
  released(x.tensor.size(), [&] { bound.rung.run(false, x.tensor.value().view(), out.view()); });
  return Tensor(out);
}

Tensor run(const Bound<decltype(Kernels::reduce)>& bound, const In& x) {
  check_operand(str("sum ", bound.rung.name), "x", x.tensor);
  Shape one = x.tensor.shape();
  for (int axis = 0; axis < one.ndim(); ++axis) one[axis] = 1;
  const NDArray out = NDArray::empty(one, DType::float32);
  released(x.tensor.size(),
           [&] { bound.rung.run(Reduce::sum, x.tensor.value().view(), out.view()); });
  return Tensor(reshape(out, {}));
}

template <class F, class... Operands>
void bind_ladder(py::module_& m, const char* type, const char* function, const char* doc,
                 Ladder<F> Ladders::*ladder, F Kernels::*slot, const Operands&... operands) {
  using B = Bound<F>;
  py::class_<B>(m, type, doc)
      .def_property_readonly(
          "name", [](const B& b) { return b.rung.name; }, "v1, v2, ...")
      .def_property_readonly(
          "idea", [](const B& b) { return b.rung.idea; },
          "What it has that the one before has not.")
      .def_property_readonly(
          "file", [](const B& b) { return b.rung.file; }, "Where it stands, from the top.")
      .def_property_readonly(
          "flop_per_byte", [](const B& b) { return b.rung.flops / b.rung.bytes; },
          "FLOPs of its inner loop for a byte that the core loads or stores.")
      .def_property_readonly(
          "is_slot", [](const B& b) { return b.rung.run == b.slot; },
          "Whether it is the very function that the library calls.")
      .def("__repr__", [](const B& b) { return str(b.rung.name, ": ", b.rung.idea); })
      .def(
          "__call__",
          [](const B& b, std::conditional_t<true, const In&, Operands>... x) {
            return run(b, x...);
          },
          operands..., doc);
  m.def(
      function,
      [ladder, slot] {
        std::vector<B> found;
        for (const Rung<F>& rung : ladders().*ladder) {
          found.push_back({rung, kernels(Device{}).*slot});
        }
        return found;
      },
      "The rungs, the slowest first. See needle.ladder.");
}

}  // namespace

void bind_ladders(py::module_& m) {
  bind_ladder(m, "MatmulRung", "matmul_ladder",
              "A version of the matrix product: a (m, k), b (k, n) -> (m, n); compact float32.",
              &Ladders::matmul, &Kernels::matmul, py::arg("a"), py::arg("b"));
  bind_ladder(m, "SoftmaxRung", "softmax_ladder",
              "A version of softmax over the last axis: x (..., n) -> (..., n); compact float32.",
              &Ladders::softmax, &Kernels::softmax, py::arg("x"));
  bind_ladder(m, "SumRung", "sum_ladder",
              "A version of the sum of all elements: x (...) -> (); compact float32.",
              &Ladders::sum, &Kernels::reduce, py::arg("x"));
}

}  // namespace needle::python
