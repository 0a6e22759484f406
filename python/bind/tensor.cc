// The classes Tensor and NDArray: attributes, arithmetic, the graph, NumPy.  (Lessons 02 and 03)
//
// Both have the same arithmetic: an NDArray is computed with as a tensor outside the graph.
#include "bind.h"

namespace needle::python {

/// A result whose Python type follows that of self; help() then shows it.
template <class A>
class ResultOf : public py::object {
 public:
  ResultOf(py::object result) : py::object(std::move(result)) {}
};

}  // namespace needle::python

namespace pybind11::detail {

template <>
struct handle_type_name<needle::python::ResultOf<needle::Tensor>> {
  static constexpr auto name = const_name("needle.Tensor");
};
template <>
struct handle_type_name<needle::python::ResultOf<needle::NDArray>> {
  static constexpr auto name = const_name("needle.NDArray");
};

}  // namespace pybind11::detail

namespace needle::python {
namespace {

using BinaryFunction = Tensor (*)(const Tensor&, const Tensor&);

const NDArray& value_of(const Tensor& t) { return t.value(); }
const NDArray& value_of(const NDArray& x) { return x; }
Tensor tensor_of(const Tensor& t) { return t; }
Tensor tensor_of(const NDArray& x) { return Tensor(x); }

/// A result of self's kind: an NDArray for NDArrays, unless a Tensor took part.
template <class A>
ResultOf<A> result(Tensor out, py::handle other) {
  if constexpr (std::is_same_v<A, NDArray>) {
    if (!py::isinstance<Tensor>(other)) return py::cast(out.value());
  }
  return py::cast(std::move(out));
}

template <class A, BinaryFunction function, bool reflected>
ResultOf<A> binary(const py::object& self, const py::object& other) {
  auto pair = reflected ? operands(other, self) : operands(self, other);
  if (!pair) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
  const auto& [a, b] = *pair;
  return result<A>(released(a.size() + b.size(), [&] { return function(a, b); }), other);
}

void check_writable(const char* what, const Tensor& t) {
  if (t.requires_grad() && grad_enabled()) {
    throw RuntimeError(str(what,
                           ": this tensor needs a gradient, so it cannot be changed in place; ",
                           "write under no_grad(), or to t.detach()"));
  }
}
void check_writable(const char*, const NDArray&) {}

/// self op= other. With a gradient wanted this is self = self op other, which the graph can
/// follow; a leaf that needs a gradient is refused, and everything else is written in place.
template <class A, BinaryFunction function>
ResultOf<A> in_place(const py::object& self, const py::object& other) {
  auto pair = operands(self, other);
  if (!pair) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
  const auto& [a, b] = *pair;
  if (a.is_leaf()) check_writable("in-place operator", a);
  const bool record = grad_enabled() && (a.requires_grad() || b.requires_grad());
  const Tensor out = released(a.size() + b.size(), [&] { return function(a, b); });
  if (record) return result<A>(out, other);
  if (is_floating(out.dtype()) && !is_floating(a.dtype())) {
    throw TypeError(
        str("in-place operator: the result is ", out.dtype(), " and does not fit ", a.dtype()));
  }
  if (out.shape() != a.shape()) {
    throw ValueError(str("in-place operator: the result has shape ", out.shape(),
                         " and does not fit ", a.shape()));
  }
  assign(a.value(), out.value());
  return self;
}

template <class A, BinaryFunction function>
void define_operator(py::class_<A>& c, const std::string& name) {
  const std::string end = name + "__";
  c.def(("__" + end).c_str(), &binary<A, function, false>, py::is_operator());
  c.def(("__r" + end).c_str(), &binary<A, function, true>, py::is_operator());
  c.def(("__i" + end).c_str(), &in_place<A, function>, py::is_operator());
}

template <class A>
void define_arithmetic(py::class_<A>& c) {
  define_operator<A, add>(c, "add");
  define_operator<A, sub>(c, "sub");
  define_operator<A, mul>(c, "mul");
  define_operator<A, div>(c, "truediv");
  define_operator<A, pow>(c, "pow");
  c.def("__matmul__", &binary<A, matmul, false>, py::is_operator());
  c.def("__rmatmul__", &binary<A, matmul, true>, py::is_operator());
  c.def("__eq__", &binary<A, equal, false>, py::is_operator());
  c.def("__ne__", &binary<A, not_equal, false>, py::is_operator());
  c.def("__lt__", &binary<A, less, false>, py::is_operator());
  c.def("__le__", &binary<A, less_equal, false>, py::is_operator());
  c.def("__gt__", &binary<A, greater, false>, py::is_operator());
  c.def("__ge__", &binary<A, greater_equal, false>, py::is_operator());
  define_operator<A, logical_and>(c, "and");
  define_operator<A, logical_or>(c, "or");
  define_operator<A, logical_xor>(c, "xor");
  c.def("__invert__", [](const A& x) { return result<A>(logical_not(tensor_of(x)), py::none()); });
  c.def("__neg__", [](const A& x) { return result<A>(neg(tensor_of(x)), py::none()); });
  c.def("__abs__", [](const A& x) { return result<A>(abs(tensor_of(x)), py::none()); });
  // NumPy then leaves `array + tensor` to __radd__.
  c.attr("__array_ufunc__") = py::none();
}

bool truth(const NDArray& x) {
  if (x.size() != 1) {
    throw ValueError(str("bool: shape ", x.shape(), " has no single truth value; ",
                         "compare with ==, or reduce with max() or min()"));
  }
  return py::cast<bool>(py::bool_(item_of(x)));
}

template <class A>
void define_array(py::class_<A>& c) {
  c.def_property_readonly(
      "shape", [](const A& x) { return tuple_of(value_of(x).shape()); }, "The sizes of the axes.");
  c.def_property_readonly(
      "strides", [](const A& x) { return tuple_of(value_of(x).strides()); },
      "Distance from one element of an axis to the next, in elements (NumPy's are in bytes).");
  c.def_property_readonly(
      "offset", [](const A& x) { return value_of(x).offset(); },
      "Position of the first element in the memory, in elements.");
  c.def_property_readonly(
      "dtype", [](const A& x) { return value_of(x).dtype(); }, "The type of the elements.");
  c.def_property_readonly(
      "device", [](const A& x) { return value_of(x).device(); }, "Where the elements are.");
  c.def_property_readonly(
      "ndim", [](const A& x) { return value_of(x).ndim(); }, "The number of axes.");
  c.def_property_readonly(
      "size", [](const A& x) { return value_of(x).size(); }, "The number of elements.");
  c.def(
      "is_contiguous", [](const A& x) { return value_of(x).is_contiguous(); },
      "Whether the elements lie in row-major order without gaps.");
  c.def(
      "item", [](const A& x) { return item_of(value_of(x)); },
      "The only element as a Python number. ValueError if there are several.");
  c.def(
      "data_ptr", [](const A& x) { return reinterpret_cast<uintptr_t>(value_of(x).view().data); },
      "The address of the first element.");
  c.def("__len__", [](const A& x) {
    if (value_of(x).ndim() == 0) throw TypeError("len: a tensor of shape () has no length");
    return value_of(x).shape(0);
  });
  c.def("__bool__", [](const A& x) { return truth(value_of(x)); });
  c.def("__float__", [](const A& x) { return py::float_(item_of(value_of(x))); });
  c.def("__int__", [](const A& x) { return py::int_(item_of(value_of(x))); });
  c.def("__index__", [](const A& x) {
    if (is_floating(value_of(x).dtype()) || value_of(x).ndim() > 0) {
      throw TypeError(str("index: expected an integer of shape (), got ", value_of(x).dtype(), " ",
                          value_of(x).shape()));
    }
    return py::int_(item_of(value_of(x)));
  });
  c.def("__getitem__", [](const A& x, const py::object& key) {
    return result<A>(get_item(tensor_of(x), key), py::none());
  });
  c.def("__setitem__", [](const A& x, const py::object& key, const py::object& value) {
    check_writable("setitem", x);
    const auto source = try_tensor(value);
    if (source && source->requires_grad() && grad_enabled()) {
      throw RuntimeError(
          "setitem: the value needs a gradient, which would be lost; use detach(), "
          "or build the tensor with stack, concat or where");
    }
    set_item(value_of(x), key, value);
  });
  c.def("__dlpack_device__", [](const A& x) {
    check_host("__dlpack_device__", value_of(x));
    return py::make_tuple(1, 0);  // kDLCPU
  });
  c.def(
      "to",
      [](const A& x, const py::object& target) {
        const Tensor t = tensor_of(x);
        bool is_device = py::isinstance<Device>(target);
        if (py::isinstance<py::str>(target)) {  // any name that is no dtype's
          is_device = true;
          for (int i = 0; i < kDTypes; ++i) {
            is_device &= name_of(static_cast<DType>(i)) != py::cast<std::string>(target);
          }
        }
        if (is_device) {
          const Device to = py::cast<InDevice>(target).device;
          return result<A>(released(t.size(), [&] { return to_device(t, to); }), py::none());
        }
        const DType dtype = py::cast<InDType>(target).dtype;
        if (dtype == t.dtype()) return result<A>(t, py::none());
        return result<A>(released(t.size(), [&] { return cast(t, dtype); }), py::none());
      },
      py::arg("target"),
      "On another device, or in another dtype: x.to(\"reference\"), x.to(needle.float64).\n\n"
      "Returns x itself if there is nothing to do.");
  c.def(
      "astype",
      [](const A& x, const InDType& dtype) {
        const Tensor t = tensor_of(x);
        return result<A>(released(t.size(), [&] { return cast(t, dtype.dtype); }), py::none());
      },
      py::arg("dtype"),
      "In another dtype; x itself if it is of that dtype already. The gradient comes back in "
      "x's.\n\n"
      "float16 and bfloat16 are rounded to, to nearest and ties to even, and computed with as "
      "float32.");
}

/// Without a graph there is no risk in sharing; with one NumPy could change what backward needs.
const NDArray& plain(const char* function, const Tensor& t) {
  if (t.requires_grad()) {
    throw RuntimeError(str(function, ": this tensor needs a gradient, which NumPy cannot follow; ",
                           "use t.detach().", function, "()"));
  }
  return t.value();
}
const NDArray& plain(const char*, const NDArray& x) { return x; }

template <class A>
void define_sharing(py::class_<A>& c) {
  c.def_buffer([](const A& x) { return buffer_of(plain("numpy", x)); });
  c.def(
      "numpy", [](const A& x) { return numpy_view(plain("numpy", x)); },
      "A NumPy array that shares this memory. Copy to the cpu and detach() first if needed.");
  c.def(
      "__dlpack__",
      [](const A& x, const py::object&, const std::optional<std::pair<int, int>>& max_version,
         const std::optional<std::pair<int, int>>& device, const std::optional<bool>& copy) {
        const NDArray& array = plain("numpy", x);
        if (device && *device != std::pair(1, 0)) {
          PyErr_SetString(PyExc_BufferError,
                          "__dlpack__: only the cpu, device (1, 0), is possible");
          throw py::error_already_set();
        }
        return to_dlpack(copy.value_or(false) ? copy_of(array) : array,
                         max_version && max_version->first >= 1);
      },
      py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
      py::arg("dl_device") = py::none(), py::arg("copy") = py::none());
}

void define_graph(py::class_<Tensor>& c) {
  c.def_property(
      "requires_grad", &Tensor::requires_grad,
      [](const Tensor& t, bool wanted) { t.set_requires_grad(wanted); },
      "Whether operations on this tensor are recorded for backward().");
  c.def(
      "requires_grad_",
      [](const Tensor& t, bool wanted) {
        t.set_requires_grad(wanted);
        return t;
      },
      py::arg("requires_grad") = true,
      "Turns the gradient of a leaf on or off; returns the tensor. TypeError for integer dtypes.");
  c.def_property(
      "grad", [](const Tensor& t) { return or_none(t.grad()); },
      [](const Tensor& t, const std::optional<Tensor>& grad) {
        t.set_grad(grad.value_or(Tensor()));
      },
      "The accumulated gradient, or None. Set it to None to start anew.");
  c.def_property_readonly("is_leaf", &Tensor::is_leaf,
                          "Whether the tensor was made by the user, not by an operation.");
  c.def_property_readonly(
      "grad_fn",
      [](const Tensor& t) -> py::object { return t.is_leaf() ? py::none() : py::cast(t.node()); },
      "The node of the graph that made this tensor, or None for a leaf.");
  c.def_property(
      "data", &Tensor::detach,
      [](const Tensor& t, const In& value) { t.set_value(value.tensor.value()); },
      "The elements outside the graph (shared memory); assign to put others behind a leaf.");
  c.def("detach", &Tensor::detach, "The same elements outside the graph; the memory is shared.");
  c.def("retain_grad", &Tensor::retain_grad, "Keeps .grad of a tensor that is no leaf, too.");
  c.def(
      "register_hook",
      [](const Tensor& t, const py::object& hook) { return register_hook(t, hook); },
      py::arg("hook"),
      "Calls hook(gradient) in every backward pass that reaches this tensor, leaf or not.\n\n"
      "A Tensor that the hook returns takes the place of the gradient; None leaves it. The\n"
      "result has remove(). RuntimeError if this tensor needs no gradient.");
  c.def(
      "backward",
      [](const Tensor& t, const std::optional<Tensor>& gradient, bool retain_graph,
         bool create_graph) {
        const py::gil_scoped_release guard;
        t.backward(gradient.value_or(Tensor()), {retain_graph, create_graph});
      },
      py::arg("gradient") = py::none(), py::kw_only(), py::arg("retain_graph") = false,
      py::arg("create_graph") = false,
      "Adds d(self)/d(leaf), times `gradient`, to .grad of every leaf that needs one.\n\n"
      "A tensor of several elements needs `gradient`, of its own shape and dtype. The graph is\n"
      "used up unless retain_graph; create_graph makes the gradients differentiable again.");
  c.def_property_readonly("is_parameter", &Tensor::is_parameter,
                          "Whether nn.Module counts this tensor among its parameters.");
  c.def("_mark_parameter", &Tensor::mark_parameter);
  c.def("same_as", &Tensor::same_as, py::arg("other"),
        "Whether both names mean one tensor, not just equal elements.");
  c.def("__hash__", [](const Tensor& t) { return std::hash<const void*>()(t.id()); });
}

}  // namespace

void bind_tensor(py::module_& m) {
  py::class_<NDArray> array(m, "NDArray", py::buffer_protocol(),
                            "A strided view of shared memory, without a graph (lesson "
                            "2).\n\nNDArray(data, dtype=None): a "
                            "Tensor's elements are shared, everything else is copied.");
  array.attr("__module__") = "needle";
  py::class_<Tensor> tensor(
      m, "Tensor", py::buffer_protocol(),
      "An array that remembers how it was computed (lesson 3). Make one with needle.tensor.");
  tensor.attr("__module__") = "needle";

  array.def(py::init([](const py::object& data, const std::optional<InDType>& dtype) {
              const auto source = try_tensor(data);
              const std::optional<DType> wanted =
                  dtype ? std::optional(dtype->dtype) : std::nullopt;
              if (source && wanted.value_or(source->dtype()) == source->dtype())
                return source->value();
              return array_from("NDArray", data, wanted);
            }),
            py::arg("data"), py::arg("dtype") = py::none());
  array.def("__hash__",
            [](const py::object& self) { return reinterpret_cast<intptr_t>(self.ptr()) / 16; });
  tensor.def(py::init([](const In& data, bool requires_grad) {
               return Tensor(data.tensor.value(), requires_grad);
             }),
             py::arg("data"), py::arg("requires_grad") = false,
             "A leaf that shares the memory of an NDArray or Tensor.");
  define_array(array);
  define_array(tensor);
  define_arithmetic(array);
  define_arithmetic(tensor);
  define_sharing(array);
  define_sharing(tensor);
  define_graph(tensor);
  shorten_operators(tensor);
}

}  // namespace needle::python
