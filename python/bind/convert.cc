// Python values to arrays and back: lists, NumPy, buffers; shapes, axes, dtypes.  (Python package)
#include <cstring>

#include "bind.h"

namespace needle::python {
namespace {

std::string text(py::handle h) { return py::cast<std::string>(py::str(h)); }

/// NumPy's dtype -> ours; nullopt if needle has none. Byte order is not looked at.
std::optional<DType> dtype_of_numpy(const py::dtype& dtype) {
  switch (dtype.kind()) {
    case 'b': return DType::bool_;
    case 'i':
      if (dtype.itemsize() == 4) return DType::int32;
      if (dtype.itemsize() == 8) return DType::int64;
      return {};
    case 'f':
      if (dtype.itemsize() == 2) return DType::float16;
      if (dtype.itemsize() == 4) return DType::float32;
      if (dtype.itemsize() == 8) return DType::float64;
      return {};
    default: return {};
  }
}

[[noreturn]] void refuse_bfloat16() {
  throw TypeError("numpy: NumPy has no bfloat16; use x.astype(ndl.float32).numpy()");
}

py::dtype numpy_dtype(DType t) {
  if (t == DType::bfloat16) refuse_bfloat16();
  if (t == DType::float16) return py::dtype("float16");
  return visit_arithmetic(t, []<class T>(Tag<T>) { return py::dtype::of<T>(); });
}

/// What the buffer protocol calls a dtype.
std::string format_of(DType t) {
  if (t == DType::bfloat16) refuse_bfloat16();
  if (t == DType::float16) return "e";
  return visit_arithmetic(t, []<class T>(Tag<T>) { return py::format_descriptor<T>::format(); });
}

bool is_native(const py::dtype& dtype) { return py::cast<bool>(dtype.attr("isnative")); }

/// TypeError unless needle has this dtype.
DType checked_dtype(const char* function, const py::array& a) {
  const auto dtype = dtype_of_numpy(a.dtype());
  if (!is_native(a.dtype())) {
    throw TypeError(str(function, ": the array's bytes are in foreign order (", text(a.dtype()),
                        "); convert it with a.astype(a.dtype.newbyteorder('='))"));
  }
  if (!dtype) {
    throw TypeError(str(function, ": numpy dtype ", text(a.dtype()),
                        " is not supported; convert to bool, int32, int64, float16, float32 or ",
                        "float64"));
  }
  return *dtype;
}

/// NumPy's reading of nested lists: float64 for Python floats.
py::array array_of_list(const char* function, py::handle data) {
  const py::module_ numpy = py::module_::import("numpy");
  py::array a;
  try {
    a = numpy.attr("asarray")(data);
  } catch (py::error_already_set& e) {
    if (e.matches(PyExc_TypeError) && py::hasattr(data, "__dlpack__")) {
      throw TypeError(str(function, ": NumPy cannot read the ", type_name(data), " (",
                          text(e.value()), "); share it with needle.from_dlpack(x)"));
    }
    if (!e.matches(PyExc_ValueError)) throw;
    throw ValueError(str(function, ": the nested lists do not form a rectangle"));
  }
  if (a.dtype().kind() == 'O' || !dtype_of_numpy(a.dtype())) {
    throw TypeError(str(function, ": expected numbers, nested lists of numbers or an array, got ",
                        type_name(data)));
  }
  return a;
}

/// First and last byte that the elements of a strided array touch, relative to its data.
std::pair<int64_t, int64_t> extent(const py::array& a) {
  int64_t low = 0;
  int64_t high = a.itemsize();
  for (py::ssize_t i = 0; i < a.ndim(); ++i) {
    const int64_t span = (a.shape(i) - 1) * a.strides(i);
    (span < 0 ? low : high) += span;
  }
  return {low, high};
}

Shape numpy_shape(const py::array& a) {
  return Shape(std::span<const int64_t>(a.shape(), static_cast<size_t>(a.ndim())));
}

/// An operand that is only a number takes the dtype of the other one.
Tensor number_like(const Tensor& x, py::handle number) {
  if (!PyLong_Check(number.ptr())) return scalar_like(x, py::cast<double>(number));
  int overflow = 0;
  const int64_t n = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0 && !is_floating(x.dtype())) {
    throw ValueError(
        str("the integer ", py::cast<std::string>(py::str(number)), " has more than 64 bits"));
  }
  if (overflow == 0 && x.dtype() == DType::int64) {  // a double would lose digits beyond 2^53
    return Tensor(to_device(NDArray::of<int64_t>(std::span(&n, 1), {}), x.device()));
  }
  const double value = PyLong_AsDouble(number.ptr());
  if (value == -1 && PyErr_Occurred()) throw py::error_already_set();  // OverflowError
  return scalar_like(x, value);
}

bool is_numpy_scalar(py::handle h) {
  return py::isinstance(h, py::module_::import("numpy").attr("generic"));
}

bool is_number(py::handle h) {
  return PyFloat_Check(h.ptr()) || PyLong_Check(h.ptr()) || is_numpy_scalar(h);
}

/// A NumPy operand is copied: the graph may keep it longer than NumPy leaves it alone.
std::optional<Tensor> tensor_operand(py::handle h) {
  if (auto tensor = try_tensor(h)) return tensor;
  if (!py::isinstance<py::array>(h)) return {};
  return Tensor(array_from("operand", h));
}

}  // namespace

std::string type_name(py::handle h) {
  return py::cast<std::string>(py::type::handle_of(h).attr("__name__"));
}

std::optional<Tensor> try_tensor(py::handle object) {
  py::detail::make_caster<Tensor> tensor;
  if (object && !object.is_none() && tensor.load(object, false)) {
    return py::detail::cast_op<const Tensor&>(tensor);
  }
  py::detail::make_caster<NDArray> array;
  if (object && !object.is_none() && array.load(object, false)) {
    return Tensor(py::detail::cast_op<const NDArray&>(array));
  }
  return {};
}

NDArray array_from(const char* function, py::handle data, std::optional<DType> wanted) {
  if (const auto tensor = try_tensor(data)) {
    return cast(tensor->value(), wanted.value_or(tensor->dtype()));
  }
  if (wanted == DType::bfloat16) return cast(array_from(function, data, DType::float64), *wanted);
  const bool numpy = py::isinstance<py::array>(data) || is_numpy_scalar(data);
  py::array a =
      numpy ? py::module_::import("numpy").attr("asarray")(data) : array_of_list(function, data);
  const char kind = a.dtype().kind();
  if (!wanted && !numpy && kind == 'f') wanted = DType::float32;
  if (wanted && std::strchr("biuf", kind) && is_native(a.dtype())) {
    a = a.attr("astype")(numpy_dtype(*wanted));
  }
  const DType dtype = checked_dtype(function, a);
  NDArray out = NDArray::empty(numpy_shape(a), dtype);
  if (out.size() == 0) return out;
  const auto compact = py::array::ensure(a, py::array::c_style);
  if (!compact) throw py::error_already_set();
  std::memcpy(out.view().data, compact.data(), static_cast<size_t>(out.bytes()));
  return out;
}

NDArray array_sharing(const py::array& source) {
  const DType dtype = checked_dtype("from_numpy", source);
  if (!source.writeable()) {
    throw ValueError("from_numpy: the array is read-only; copy it with needle.tensor(a)");
  }
  const int64_t size = source.itemsize();
  Shape strides = Shape::filled(static_cast<int>(source.ndim()), 0);
  for (int i = 0; i < strides.ndim(); ++i) {
    if (source.strides(i) % size != 0) {
      throw ValueError(str("from_numpy: stride ", source.strides(i), " of axis ", i,
                           " is no multiple of the element size ", size, "; copy the array first"));
    }
    strides[i] = source.strides(i) / size;
  }
  char* data = static_cast<char*>(const_cast<void*>(source.data()));
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size) != 0) {
    throw ValueError("from_numpy: the array is not aligned; copy it with needle.tensor(a)");
  }
  const auto [low, high] = source.size() == 0 ? std::pair<int64_t, int64_t>{} : extent(source);
  const auto owner = std::make_shared<Kept>(source);
  Ref<Storage> storage = Storage::borrow(data + low, static_cast<size_t>(high - low), Device{},
                                         [owner] {});  // the array goes with the storage
  return {std::move(storage), View{data, dtype, numpy_shape(source), strides}};
}

static std::vector<py::ssize_t> byte_strides(const NDArray& x) {
  std::vector<py::ssize_t> strides(x.strides().begin(), x.strides().end());
  for (py::ssize_t& stride : strides) stride *= size_of(x.dtype());
  return strides;
}

void check_host(const char* function, const NDArray& x) {
  if (!x.device().is_host()) {
    throw RuntimeError(str(function, ": the array is on ", x.device(),
                           ", whose memory NumPy cannot read; copy it with .to(\"cpu\") first"));
  }
}

py::array numpy_view(const NDArray& x) {
  check_host("numpy", x);
  return py::array(numpy_dtype(x.dtype()),
                   std::vector<py::ssize_t>(x.shape().begin(), x.shape().end()), byte_strides(x),
                   x.view().data, py::cast(x));
}

py::buffer_info buffer_of(const NDArray& x) {
  check_host("buffer", x);
  return py::buffer_info(x.view().data, size_of(x.dtype()), format_of(x.dtype()), x.ndim(),
                         std::vector<py::ssize_t>(x.shape().begin(), x.shape().end()),
                         byte_strides(x));
}

std::optional<std::pair<Tensor, Tensor>> operands(py::handle a, py::handle b) {
  const auto left = tensor_operand(a);
  const auto right = tensor_operand(b);
  if (left && right) return std::pair(*left, *right);
  if (left && is_number(b)) return std::pair(*left, number_like(*left, b));
  if (right && is_number(a)) return std::pair(number_like(*right, a), *right);
  return {};
}

std::map<std::string, NDArray> arrays_from(const char* function, const py::dict& dict) {
  std::map<std::string, NDArray> arrays;
  for (const auto& [name, value] : dict) {
    if (!py::isinstance<py::str>(name)) {
      throw TypeError(str(function, ": the names must be str, not ", type_name(name)));
    }
    const auto tensor = try_tensor(value);
    arrays[text(name)] = tensor ? tensor->value() : array_from(function, value);
  }
  return arrays;
}

py::object item_of(const NDArray& x) {
  if (x.size() != 1) throw ValueError(str("item: shape ", x.shape(), " is not one element"));
  const NDArray host = to_device(x, Device{});
  return visit_dtype(host.dtype(), [&]<class T>(Tag<T>) -> py::object {
    if constexpr (is_half_v<T>) return py::cast(static_cast<float>(*host.data<T>()));
    if constexpr (!is_half_v<T>) return py::cast(*host.data<T>());
  });
}

static int64_t size_from(const char* what, py::handle h) {
  // True and float32 have an integer value, but whoever writes zeros(2, float32) means dtype=.
  if (PyBool_Check(h.ptr()) || py::isinstance<DType>(h) || !PyIndex_Check(h.ptr())) {
    throw TypeError(str(what, ": expected an int, got ", type_name(h)));
  }
  const py::ssize_t n = PyNumber_AsSsize_t(h.ptr(), PyExc_ValueError);
  if (n == -1 && PyErr_Occurred()) throw py::error_already_set();
  return n;
}

static Shape sizes_from(const char* what, py::handle h) {
  if (PyIndex_Check(h.ptr())) return {size_from(what, h)};
  if (!py::isinstance<py::sequence>(h) || py::isinstance<py::str>(h)) {
    throw TypeError(str(what, ": expected an int or a sequence of ints, got ", type_name(h)));
  }
  Shape out;
  for (py::handle size : h) out.push_back(size_from(what, size));
  return out;
}

Shape shape_from(const py::args& args) {
  if (args.size() == 1) return sizes_from("shape", args[0]);
  return sizes_from("shape", args);
}

py::tuple tuple_of(const Shape& shape) {
  py::tuple out(static_cast<size_t>(shape.ndim()));
  for (int i = 0; i < shape.ndim(); ++i) out[static_cast<size_t>(i)] = shape[i];
  return out;
}

}  // namespace needle::python

namespace pybind11::detail {

using namespace needle::python;

bool type_caster<In>::load(handle source, bool) {
  auto tensor = try_tensor(source);
  if (!tensor) {
    throw needle::TypeError(needle::str("expected a Tensor or NDArray, got ", type_name(source),
                                        "; convert it with needle.tensor(...)"));
  }
  value.tensor = std::move(*tensor);
  return true;
}

bool type_caster<InDType>::load(handle source, bool) {
  make_caster<needle::DType> exact;
  if (exact.load(source, false)) {
    value.dtype = cast_op<needle::DType>(exact);
  } else if (isinstance<str>(source)) {
    value.dtype = needle::dtype_of(source.cast<std::string>());
  } else if (source.ptr() == reinterpret_cast<PyObject*>(&PyFloat_Type)) {
    value.dtype = needle::DType::float32;
  } else {
    std::optional<needle::DType> found;
    try {
      if (!source.is_none())
        found = dtype_of_numpy(pybind11::dtype::from_args(source.cast<object>()));
    } catch (error_already_set&) {  // NumPy does not know it either
    }
    if (!found) {
      throw needle::TypeError(needle::str(
          "dtype: expected bool_, int32, int64, float16, bfloat16, float32 or float64, got ",
          text(source)));
    }
    value.dtype = *found;
  }
  return true;
}

bool type_caster<InDevice>::load(handle source, bool) {
  make_caster<needle::Device> exact;
  if (exact.load(source, false) && !source.is_none()) {
    value.device = cast_op<const needle::Device&>(exact);
  } else if (isinstance<str>(source)) {
    value.device = needle::device_of(source.cast<std::string>());
  } else {
    throw needle::TypeError(needle::str(
        "device: expected a name such as \"cpu\" or a needle.device, got ", type_name(source)));
  }
  return true;
}

bool type_caster<InShape>::load(handle source, bool) {
  value.shape = sizes_from("shape", source);
  return true;
}

bool type_caster<InAxes>::load(handle source, bool) {
  if (!source.is_none()) value.axes = sizes_from("axis", source);
  return true;
}

}  // namespace pybind11::detail
