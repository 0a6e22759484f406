// How an operation gets its Python function and its methods, for the files that bind operations.
// (Python package)
#pragma once

#include "bind.h"

namespace needle::python {

// Methods of NDArray return NDArrays.
inline NDArray as_arrays(const Tensor& t) { return t.value(); }
inline std::vector<NDArray> as_arrays(const Tensors& tensors) {
  std::vector<NDArray> out;
  for (const Tensor& t : tensors) out.push_back(t.value());
  return out;
}

inline std::pair<NDArray, NDArray> as_arrays(const std::pair<Tensor, Tensor>& both) {
  return {both.first.value(), both.second.value()};
}

template <class F, class R, class... Args>
auto array_version(F f, R (F::*)(const In&, Args...) const) {
  return [f](const In& x, Args... args) { return as_arrays(f(x, std::forward<Args>(args)...)); };
}

template <class F, class... Extra>
void define_method(const py::object& c, const char* name, F f, const Extra&... extra) {
  py::cpp_function method(f, py::name(name), py::is_method(c),
                          py::sibling(py::getattr(c, name, py::none())), extra...);
  c.attr(name) = method;
}

struct Binder {
  py::module_& m;
  py::object tensor = m.attr("Tensor");
  py::object array = m.attr("NDArray");

  /// Function, method of Tensor and method of NDArray. `extra` follows the argument x.
  template <class F, class... Extra>
  void operator()(const char* name, F f, const char* doc, const Extra&... extra) {
    m.def(name, f, py::arg("x"), extra..., doc);
    define_method(tensor, name, f, extra..., doc);
    define_method(array, name, array_version(f, &F::operator()), extra..., doc);
  }
};

/// `axis` and `dim` are two spellings of one argument.
inline Axes one_of(const InAxes& axis, const InAxes& dim) {
  if (axis.axes && dim.axes) throw TypeError("give axis or dim, not both");
  return axis.axes ? axis.axes : dim.axes;
}

inline std::optional<int64_t> one_axis(const InAxes& axis, const InAxes& dim) {
  const Axes axes = one_of(axis, dim);
  if (!axes) return {};
  if (axes->ndim() != 1) throw TypeError(str("axis: expected one int, got ", *axes));
  return (*axes)[0];
}

inline py::arg_v axis_arg() { return py::arg("axis") = py::none(); }
inline py::arg_v dim_arg() { return py::arg("dim") = py::none(); }
inline py::arg_v keepdims_arg() { return py::arg("keepdims") = false; }

// --- one function per file, called by bind_ops() ---

void bind_index_ops(Binder& define);
void bind_image_ops(Binder& define);

}  // namespace needle::python
