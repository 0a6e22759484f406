// tensor[key]: NumPy's indexing, made of the library's own views.  (Python package)
//
// Ints, slices, None and Ellipsis give views. One array of ints, or a bool mask, may stand among
// them and picks elements along its axes: a copy.
#include "bind.h"

namespace needle::python {
namespace {

/// The one array in a key, and where it acts once the rest of the key has been applied.
struct Picked {
  std::optional<NDArray> index;  // int64, any shape, or bool
  int axis = 0;                  // its axis in the view
  int target = 0;                // where the axes of `index` go in the result
};

bool is_array(py::handle h) {
  return try_tensor(h) || py::isinstance<py::array>(h) || py::isinstance<py::list>(h);
}

NDArray index_array(py::handle h) {
  NDArray index = array_from("index", h);
  if (index.size() == 0 && is_floating(index.dtype())) index = cast(index, DType::int64);  // []
  if (is_floating(index.dtype())) {
    throw IndexError(str("index: an index array must be int or bool, not ", index.dtype()));
  }
  return index.dtype() == DType::bool_ ? index : cast(index, DType::int64);
}

int64_t index_of(py::handle h) {
  const py::ssize_t i = PyNumber_AsSsize_t(h.ptr(), PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) throw py::error_already_set();
  return i;
}

std::optional<int64_t> bound_of(py::handle h) {
  if (h.is_none()) return {};
  if (!PyIndex_Check(h.ptr())) throw TypeError(str("index: slice bound is a ", type_name(h)));
  return PyNumber_AsSsize_t(h.ptr(), nullptr);  // clipped, as Python does
}

Slice slice_of(py::handle h) {
  const Slice slice{bound_of(h.attr("start")), bound_of(h.attr("stop")),
                    bound_of(h.attr("step")).value_or(1)};
  if (slice.step == 0) throw ValueError("index: slice step cannot be 0");
  return slice;
}

/// Positions of the True elements of a mask, counted in row-major order.
NDArray true_positions(const NDArray& mask) {
  const NDArray compact = contiguous(mask);
  const bool* bits = compact.data<bool>();
  std::vector<int64_t> found;
  for (int64_t i = 0; i < compact.size(); ++i) {
    if (bits[i]) found.push_back(i);
  }
  return NDArray::of<int64_t>(found, {static_cast<int64_t>(found.size())});
}

// The same walk works on an NDArray (to write through) and on a Tensor (in the graph).
NDArray select(const NDArray& x, int64_t axis, int64_t i) { return x.select(axis, i); }
NDArray slice(const NDArray& x, int64_t axis, const Slice& s) { return x.slice(axis, s); }
NDArray unsqueeze(const NDArray& x, int64_t axis) { return x.unsqueeze(axis); }

std::vector<py::object> parts_of(py::handle key) {
  std::vector<py::object> parts;
  if (py::isinstance<py::tuple>(key)) {
    for (py::handle part : key) parts.push_back(py::reinterpret_borrow<py::object>(part));
  } else {
    parts.push_back(py::reinterpret_borrow<py::object>(key));
  }
  return parts;
}

bool is_index(py::handle h) { return PyIndex_Check(h.ptr()) && !PyBool_Check(h.ptr()); }

/// Applies everything in `key` but its array, which is left in `picked`.
template <class T>
T apply_basic(T x, py::handle key, Picked& picked) {
  const std::vector<py::object> parts = parts_of(key);
  const Shape shape = x.shape();
  int consumed = 0;
  bool ellipsis = false;
  std::vector<NDArray> arrays;
  // Positions of ints and the array in the key: if others stand between, NumPy puts the axes of
  // the array first in the result.
  int first = -1, last = -1, advanced = 0;
  for (int i = 0; i < static_cast<int>(parts.size()); ++i) {
    const py::object& part = parts[static_cast<size_t>(i)];
    if (part.is_none()) continue;
    if (py::isinstance<py::ellipsis>(part)) {
      if (ellipsis) throw IndexError("index: only one Ellipsis (...) is possible");
      ellipsis = true;
    } else if (py::isinstance<py::slice>(part)) {
      ++consumed;
    } else {
      const bool array = !py::isinstance<py::int_>(part) && is_array(part);
      if (array) {
        arrays.push_back(index_array(part));
      } else if (!is_index(part)) {
        throw IndexError(
            str("index: expected ints, slices, None, ... or arrays, got ", type_name(part)));
      }
      consumed += array && arrays.back().dtype() == DType::bool_ ? arrays.back().ndim() : 1;
      if (first < 0) first = i;
      last = i;
      ++advanced;
    }
  }
  if (arrays.size() > 1) throw NotImplementedError("index: only one index array is supported");
  if (consumed > x.ndim()) {
    throw IndexError(str("index: ", consumed, " indices for a tensor of shape ", shape));
  }
  int axis = 0;
  for (const py::object& part : parts) {
    if (part.is_none()) {
      x = unsqueeze(x, axis++);
    } else if (py::isinstance<py::ellipsis>(part)) {
      axis += shape.ndim() - consumed;
    } else if (py::isinstance<py::slice>(part)) {
      const Slice s = slice_of(part);
      if (s.start || s.stop || s.step != 1) x = slice(x, axis, s);
      ++axis;
    } else if (py::isinstance<py::int_>(part) || !is_array(part)) {
      x = select(x, axis, index_of(part));
    } else {
      picked.index = arrays[0];
      picked.axis = axis;
      picked.target = last - first + 1 == advanced ? axis : 0;
      axis += arrays[0].dtype() == DType::bool_ ? arrays[0].ndim() : 1;
    }
  }
  return x;
}

/// Brings `count` axes beginning at `from` to `to`; the others keep their order.
Shape moved(int ndim, int from, int count, int to) {
  Shape axes;
  for (int i = 0; i < ndim; ++i) {
    if (i < from || i >= from + count) axes.push_back(i);
  }
  for (int i = 0; i < count; ++i) axes.insert(to + i, from + i);
  return axes;
}

/// A mask becomes positions along one axis of x; negative positions are counted from the end.
template <class T>
T normalise(T x, Picked& picked) {
  NDArray& index = *picked.index;
  if (index.dtype() == DType::bool_) {
    Shape shape;
    for (int i = 0; i < x.ndim(); ++i) shape.push_back(x.shape(i));
    int64_t rows = 1;
    for (int i = 0; i < index.ndim(); ++i) {
      if (index.shape(i) != shape[picked.axis + i]) {
        throw IndexError(
            str("index: a mask of shape ", index.shape(), " for a tensor of shape ", shape));
      }
      rows *= index.shape(i);
    }
    for (int i = 0; i < index.ndim(); ++i) shape.erase(picked.axis);
    shape.insert(picked.axis, rows);
    index = true_positions(index);
    return reshape(x, shape);
  }
  const int64_t n = x.shape(picked.axis);
  int64_t* position = index.data<int64_t>();  // compact: index_array made a copy
  for (int64_t i = 0; i < index.size(); ++i) {
    if (position[i] < -n || position[i] >= n) {
      throw IndexError(str("index: ", position[i], " is out of range for an axis of size ", n));
    }
    if (position[i] < 0) position[i] += n;
  }
  return x;
}

NDArray value_for(const NDArray& target, py::handle value) {
  if (const auto tensor = try_tensor(value)) return tensor->value();
  if (PyFloat_Check(value.ptr()) || PyLong_Check(value.ptr())) {
    // The number itself, so that 1e-40 or 2**60 arrives unharmed.
    return array_from("index", value, target.dtype());
  }
  return array_from("index", value);
}

}  // namespace

Tensor get_item(const Tensor& x, py::handle key) {
  Picked picked;
  Tensor view = apply_basic(x, key, picked);
  if (!picked.index) return view;
  view = normalise(view, picked);
  if (picked.axis != 0) view = permute(view, moved(view.ndim(), picked.axis, 1, 0));
  const Tensor index(to_device(*picked.index, x.device()));
  const Tensor out = embedding(view, index);
  if (picked.target == 0) return out;
  return permute(out, moved(out.ndim(), 0, index.ndim(), picked.target));
}

void set_item(const NDArray& x, py::handle key, py::handle value) {
  Picked picked;
  NDArray view = apply_basic(x, key, picked);
  NDArray source = value_for(x, value);
  if (is_floating(source.dtype()) && !is_floating(x.dtype())) {
    throw TypeError(
        str("setitem: cannot write ", source.dtype(), " into a ", x.dtype(), " tensor"));
  }
  source = to_device(source, x.device());
  if (!picked.index) return assign(view, source);

  const bool mask = picked.index->dtype() == DType::bool_ && picked.index->ndim() > 1;
  const NDArray original = view;
  view = normalise(view, picked);
  const NDArray& index = *picked.index;
  view = view.permute(moved(view.ndim(), picked.axis, 1, 0));  // picked rows first
  Shape shape = view.shape();
  shape.erase(0);
  for (int i = 0; i < index.ndim(); ++i) shape.insert(picked.target + i, index.shape(i));
  source = source.broadcast_to(shape).permute(moved(shape.ndim(), picked.target, index.ndim(), 0));
  source = needle::reshape(source, [&] {
    Shape rows = source.shape();
    for (int i = 0; i < index.ndim(); ++i) rows.erase(0);
    rows.insert(0, index.size());
    return rows;
  }());
  const int64_t* position = index.data<int64_t>();
  for (int64_t i = 0; i < index.size(); ++i)
    assign(view.select(0, position[i]), source.select(0, i));
  // A mask over several axes of a strided array went through a compact copy: write it back.
  if (mask && view.storage() != x.storage()) {
    NDArray back = view.permute(moved(view.ndim(), 0, 1, picked.axis));
    assign(original, needle::reshape(back, original.shape()));
  }
}

}  // namespace needle::python
