// a + b, a - b, a * b, a / b and a @ b of two tensors on the short way.  (Python package)
//
// Through pybind11's general dispatcher such a call costs several times what a small operation costs.
// Python also lets a type answer an operator with a C function. This one takes the common case, two
// Tensors or a Tensor and a float; all else, errors included, it leaves to __add__ and __radd__.
#include "bind.h"

namespace needle::python {
namespace {

using BinaryFunction = Tensor (*)(const Tensor&, const Tensor&);

PyTypeObject* tensor_type = nullptr;

/// The Tensor in an object that is exactly of that class; null for all others.
const Tensor* tensor_in(PyObject* object) {
  if (Py_TYPE(object) != tensor_type) return nullptr;
  auto* instance = reinterpret_cast<py::detail::instance*>(object);
  return static_cast<const Tensor*>(instance->get_value_and_holder().value_ptr());
}

/// A Tensor, or a float as a tensor like `other`, which is kept in `number`.
const Tensor* operand(PyObject* object, PyObject* other, Tensor& number) {
  if (!PyFloat_CheckExact(object)) return tensor_in(object);
  const Tensor* like = tensor_in(other);
  if (!like || !is_floating(like->dtype())) return nullptr;
  number = scalar_like(*like, PyFloat_AS_DOUBLE(object));
  return &number;
}

/// a.__add__(b), or b.__radd__(a) if a is no Tensor.
PyObject* by_name(PyObject* a, PyObject* b, const char* name, const char* reflected) {
  return PyObject_TypeCheck(a, tensor_type) ? PyObject_CallMethod(a, name, "O", b)
                                            : PyObject_CallMethod(b, reflected, "O", a);
}

template <BinaryFunction function>
PyObject* short_way(PyObject* a, PyObject* b) {
  try {
    Tensor number;
    const Tensor* left = operand(a, b, number);
    const Tensor* right = left == &number ? tensor_in(b) : operand(b, a, number);
    if (!left || !right || left->size() + right->size() >= kLongWork) return nullptr;
    return py::cast(function(*left, *right)).release().ptr();
  } catch (...) {  // the long way meets the same error and reports it
    return nullptr;
  }
}

/// The names of an operator's methods, as a template argument.
struct Names {
  char name[16], reflected[16];
};

template <BinaryFunction function, Names names>
PyObject* answer(PyObject* a, PyObject* b) {
  PyObject* out = short_way<function>(a, b);
  return out ? out : by_name(a, b, names.name, names.reflected);
}

}  // namespace

void shorten_operators(py::handle tensor_class) {
  auto* type = reinterpret_cast<PyTypeObject*>(tensor_class.ptr());
  tensor_type = type;
  PyNumberMethods& slots = *type->tp_as_number;
  slots.nb_add = &answer<add, Names{"__add__", "__radd__"}>;
  slots.nb_subtract = &answer<sub, Names{"__sub__", "__rsub__"}>;
  slots.nb_multiply = &answer<mul, Names{"__mul__", "__rmul__"}>;
  slots.nb_true_divide = &answer<div, Names{"__truediv__", "__rtruediv__"}>;
  slots.nb_matrix_multiply = &answer<matmul, Names{"__matmul__", "__rmatmul__"}>;
}

}  // namespace needle::python
