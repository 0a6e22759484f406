// tensor[key]: NumPy's indexing, made of the library's own views.  (Python package)
//
// Ints, slices, None and Ellipsis give views. Arrays of ints and bool masks among them pick elements
// along their axes, all together: x[rows, columns] is a copy of the elements (rows[i], columns[i]).
#include <algorithm>

#include "bind.h"

namespace needle::python {
namespace {

/// The arrays in a key, and where they act once the rest of the key has been applied.
struct Picked {
  Shape axes;                  // of the view, one for each array
  std::vector<NDArray> index;  // int64, of one shape, in range
  int target = 0;              // where the axes of that shape go in the result
};

bool is_array(py::handle h) {
  return try_tensor(h) || py::isinstance<py::array>(h) || py::isinstance<py::list>(h);
}

/// The array in host memory, where its elements are looked at.
NDArray index_array(py::handle h) {
  NDArray index = to_device(array_from("index", h), Device{});
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

/// Positions of the True elements of a mask in row-major order, one array for each axis.
std::vector<NDArray> true_positions(const NDArray& mask) {
  const NDArray compact = contiguous(mask);
  const bool* bits = compact.data<bool>();
  const Shape strides = compact_strides(mask.shape());
  std::vector<NDArray> out;
  for (int axis = 0; axis < mask.ndim(); ++axis) {
    std::vector<int64_t> found;
    for (int64_t i = 0; i < compact.size(); ++i) {
      if (bits[i]) found.push_back(i / strides[axis] % mask.shape(axis));
    }
    out.push_back(NDArray::of<int64_t>(found, {static_cast<int64_t>(found.size())}));
  }
  return out;
}

/// Adds an array that acts from `axis` on: a mask as the positions of its True elements, positions
/// with negative ones counted from the end. IndexError if it does not fit x.
void pick(const Shape& shape, int axis, const NDArray& index, Picked& picked) {
  if (index.dtype() == DType::bool_) {
    if (index.ndim() == 0) throw IndexError("index: a mask of shape () selects nothing; use where");
    for (int i = 0; i < index.ndim(); ++i) {
      if (index.shape(i) != shape[axis + i]) {
        throw IndexError(
            str("index: a mask of shape ", index.shape(), " for a tensor of shape ", shape));
      }
    }
    for (const NDArray& positions : true_positions(index)) {
      picked.axes.push_back(axis++);
      picked.index.push_back(positions);
    }
    return;
  }
  const int64_t n = shape[axis];
  int64_t* position = index.data<int64_t>();  // compact: index_array made a copy
  for (int64_t i = 0; i < index.size(); ++i) {
    if (position[i] < -n || position[i] >= n) {
      throw IndexError(str("index: ", position[i], " is out of range for an axis of size ", n));
    }
    if (position[i] < 0) position[i] += n;
  }
  picked.axes.push_back(axis);
  picked.index.push_back(index);
}

/// Gives all arrays one shape. IndexError if they do not broadcast.
void broadcast(Picked& picked) {
  Shape common = picked.index[0].shape();
  try {
    for (const NDArray& index : picked.index) {
      common = broadcast_shapes("index", common, index.shape());
    }
  } catch (const ValueError& error) {
    throw IndexError(error.what());
  }
  for (NDArray& index : picked.index) index = contiguous(index.broadcast_to(common));
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

/// Applies everything in `key` but its arrays, which are left in `picked`.
template <class T>
T apply_basic(T x, py::handle key, Picked& picked) {
  const std::vector<py::object> parts = parts_of(key);
  const Shape shape = x.shape();
  int consumed = 0;
  bool ellipsis = false;
  std::vector<NDArray> arrays;
  // Positions of ints and arrays in the key: if others stand between, NumPy puts the axes of the
  // arrays first in the result.
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
  if (consumed > x.ndim()) {
    throw IndexError(str("index: ", consumed, " indices for a tensor of shape ", shape));
  }
  int axis = 0;
  size_t array = 0;
  std::vector<int> acts_at;  // the axis of each array
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
      if (acts_at.empty()) picked.target = last - first + 1 == advanced ? axis : 0;
      acts_at.push_back(axis);
      axis += arrays[array].dtype() == DType::bool_ ? arrays[array].ndim() : 1;
      ++array;
    }
  }
  const Shape viewed = x.shape();
  for (size_t i = 0; i < arrays.size(); ++i) pick(viewed, acts_at[i], arrays[i], picked);
  if (!arrays.empty()) broadcast(picked);
  return x;
}

/// The order of axes in which `chosen` come first and the others keep their order.
Shape brought_first(int ndim, const Shape& chosen) {
  Shape axes = chosen;
  for (int i = 0; i < ndim; ++i) {
    if (std::find(chosen.begin(), chosen.end(), i) == chosen.end()) axes.push_back(i);
  }
  return axes;
}

/// The order of axes in which the first `count` stand at `target`.
Shape put_back(int ndim, int count, int target) {
  Shape axes;
  for (int i = count; i < ndim; ++i) axes.push_back(i);
  for (int i = 0; i < count; ++i) axes.insert(target + i, i);
  return axes;
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
  if (picked.index.empty()) return view;
  view = permute(view, brought_first(view.ndim(), picked.axes));
  // The picked axes become the rows of a table, the arrays one index of rows.
  Shape table = view.shape();
  Tensor rows = Tensor(picked.index[0]);
  for (size_t i = 1; i < picked.index.size(); ++i) {
    rows = add(mul(rows, static_cast<double>(table[1])), Tensor(picked.index[i]));
    table[0] *= table[1];
    table.erase(1);
  }
  const Tensor out = embedding(reshape(view, table), to_device(rows, x.device()));
  if (picked.target == 0) return out;
  return permute(out, put_back(out.ndim(), rows.ndim(), picked.target));
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
  if (picked.index.empty()) return assign(view, source);

  if (source.storage() == x.storage()) source = copy_of(source);
  view = view.permute(brought_first(view.ndim(), picked.axes));
  const Shape index = picked.index[0].shape();
  const int chosen = picked.axes.ndim();
  // The shape that x[key] would have, then with the axes of the arrays in front and joined.
  Shape shape, rest = view.shape();
  for (int i = 0; i < chosen; ++i) rest.erase(0);
  shape = rest;
  for (int i = 0; i < index.ndim(); ++i) shape.insert(picked.target + i, index[i]);
  Shape axes;
  for (int i = 0; i < index.ndim(); ++i) axes.push_back(picked.target + i);
  source = source.broadcast_to(shape).permute(brought_first(shape.ndim(), axes));
  rest.insert(0, index.size());
  source = needle::reshape(source, rest);
  for (int64_t i = 0; i < index.size(); ++i) {
    NDArray place = view;
    for (const NDArray& positions : picked.index) {
      place = place.select(0, positions.data<int64_t>()[i]);
    }
    assign(place, source.select(0, i));
  }
}

}  // namespace needle::python
