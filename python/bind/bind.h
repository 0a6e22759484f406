// What the binding files share: how Python values become tensors, shapes, dtypes and devices.
// (Python package; every lesson that uses Python)
//
// The argument types below have casters of their own, so that a wrong argument is answered by one
// sentence and help() shows a readable signature.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle::python {

namespace py = pybind11;

/// A tensor argument: a Tensor, or an NDArray seen as a tensor outside the graph.
struct In {
  Tensor tensor;
};

/// A dtype argument: needle.float32, "float32", "bfloat16", numpy.float32, numpy.dtype, float, int or bool.
struct InDType {
  DType dtype = DType::float32;
};

/// A device argument: a needle.device or its name.
struct InDevice {
  Device device;
};

/// A shape argument: one size or a sequence of sizes.
struct InShape {
  Shape shape;
};

/// An argument naming axes: an int, a sequence of ints, or None for all (or for the default).
struct InAxes {
  Axes axes;
};

// --- convert.cc ---

/// "list", "Tensor": the name of an object's type, for messages.
std::string type_name(py::handle object);
/// RuntimeError naming `function` if the host cannot read the array's memory.
void check_host(const char* function, const NDArray& x);

/// The Tensor in a Python object, if it is a Tensor or an NDArray.
std::optional<Tensor> try_tensor(py::handle object);
/// A copy of numbers, nested lists, a NumPy array, a Tensor or an NDArray. Python floats give
/// float32, ints int64, bools bool; NumPy arrays keep their dtype. TypeError, ValueError.
NDArray array_from(const char* function, py::handle data, std::optional<DType> dtype = {});
/// An array that shares NumPy's memory. TypeError, ValueError if that is impossible.
NDArray array_sharing(const py::array& source);
/// A NumPy array that shares the memory and keeps it alive. RuntimeError off the host, TypeError for
/// bfloat16.
py::array numpy_view(const NDArray& x);
py::buffer_info buffer_of(const NDArray& x);
/// Both operands of an elementwise function; at most one of them may be a number. nullopt if there
/// is nothing to compute with.
std::optional<std::pair<Tensor, Tensor>> operands(py::handle a, py::handle b);
/// {name: Tensor | NDArray | numpy.ndarray} -> arrays.
std::map<std::string, NDArray> arrays_from(const char* function, const py::dict& dict);
/// The only element as float, int or bool. ValueError if there are several.
py::object item_of(const NDArray& x);

/// reshape(2, 3), reshape((2, 3)) and reshape([2, 3]) all give (2, 3).
Shape shape_from(const py::args& args);
/// The shape as a Python tuple.
py::tuple tuple_of(const Shape& shape);

// --- dlpack.cc ---

/// A DLPack capsule; `versioned` for consumers that know DLPack 1.0.
py::capsule to_dlpack(const NDArray& x, bool versioned);
/// Shares the memory of anything with __dlpack__, or of a capsule. ValueError if it is read-only.
NDArray from_dlpack(const py::object& source);

// --- index.cc ---

/// x[key], NumPy's rules: ints, slices, None, Ellipsis, a bool mask, one int array.
Tensor get_item(const Tensor& x, py::handle key);
/// x[key] = value, through the view.
void set_item(const NDArray& x, py::handle key, py::handle value);

// --- autograd.cc ---

/// What Tensor.register_hook returns.
struct HookHandle {
  Tensor tensor;
  int id;
};
HookHandle register_hook(const Tensor& t, const py::object& hook);

// --- operators.cc ---

/// Makes arithmetic of small tensors faster; the class has all its methods already.
void shorten_operators(py::handle tensor_class);

// --- one function per file, called by the module ---

void bind_node(py::module_& m);
void bind_autograd(py::module_& m);
void bind_tensor(py::module_& m);
void bind_ops(py::module_& m);
void bind_nn(py::module_& m);
void bind_ladders(py::module_& m);
void bind_gpu_ladders(py::module_& m);
void bind_models(py::module_& m);

/// Work below which the GIL is kept: releasing it costs about as much as 2,000 elements.
inline constexpr int64_t kLongWork = 1 << 14;

/// Runs f, without the GIL if it has at least kLongWork elements to go through.
template <class F>
auto released(int64_t work, F&& f) {
  if (work < kLongWork) return f();
  const py::gil_scoped_release guard;
  return f();
}

/// None for an undefined tensor.
inline py::object or_none(const Tensor& t) { return t.defined() ? py::cast(t) : py::none(); }

/// A Python object that may be let go in any thread, with or without the GIL.
struct Kept {
  explicit Kept(py::object object) : object(std::move(object)) {}
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept() {
    if (!Py_IsInitialized()) {
      object.release();
      return;
    }
    const py::gil_scoped_acquire guard;
    object = py::object();
  }
  py::object object;
};

}  // namespace needle::python

namespace pybind11::detail {

template <>
struct type_caster<needle::python::In> {
  PYBIND11_TYPE_CASTER(needle::python::In, const_name("needle.Tensor"));
  bool load(handle source, bool);
};

template <>
struct type_caster<needle::python::InDType> {
  PYBIND11_TYPE_CASTER(needle::python::InDType, const_name("needle.DType | str"));
  bool load(handle source, bool);
};

template <>
struct type_caster<needle::python::InDevice> {
  PYBIND11_TYPE_CASTER(needle::python::InDevice, const_name("needle.device | str"));
  bool load(handle source, bool);
};

template <>
struct type_caster<needle::python::InShape> {
  PYBIND11_TYPE_CASTER(needle::python::InShape, const_name("int | collections.abc.Sequence[int]"));
  bool load(handle source, bool);
};

template <>
struct type_caster<needle::python::InAxes> {
  PYBIND11_TYPE_CASTER(needle::python::InAxes,
                       const_name("int | collections.abc.Sequence[int] | None"));
  bool load(handle source, bool);
};

}  // namespace pybind11::detail
