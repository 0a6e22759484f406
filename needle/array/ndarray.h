// NDArray: a strided view of shared memory, and the views that cost nothing.  (Lesson 02)
//
// Everything here moves no element: reshape, permute, broadcast_to, slice ... only compute a new
// shape, new strides and a new first element. What touches elements is in needle/backend.
#pragma once

#include <optional>
#include <span>

#include "needle/array/error.h"
#include "needle/array/storage.h"
#include "needle/array/view.h"

namespace needle {

/// A Python slice: nullopt means "left out". Negative indices count from the end.
struct Slice {
  std::optional<int64_t> start;
  std::optional<int64_t> stop;
  int64_t step = 1;
};

class NDArray {
 public:
  NDArray() = default;
  /// A view of `storage`; `view.data` must point into it.
  NDArray(Ref<Storage> storage, const View& view) : storage_(std::move(storage)), view_(view) {}

  /// Uninitialised, compact. ValueError for a negative size; std::bad_alloc without memory.
  static NDArray empty(const Shape& shape, DType dtype, Device device = {});
  /// A copy of host values, shaped `shape`, on a host device.
  template <class T>
  static NDArray of(std::span<const T> values, const Shape& shape, Device device = {});

  bool defined() const { return static_cast<bool>(storage_); }
  const View& view() const { return view_; }
  const Shape& shape() const { return view_.shape; }
  int64_t shape(int axis) const { return view_.shape[axis]; }
  const Shape& strides() const { return view_.strides; }
  DType dtype() const { return view_.dtype; }
  int ndim() const { return view_.ndim(); }
  int64_t size() const { return view_.size(); }
  int64_t bytes() const { return size() * size_of(dtype()); }
  Device device() const { return storage_->device(); }
  bool is_contiguous() const { return view_.is_contiguous(); }
  const Ref<Storage>& storage() const { return storage_; }
  /// Index of the first element within the storage, in elements.
  int64_t offset() const;
  /// The first element, as host memory. TypeError if T is not the array's dtype, RuntimeError on
  /// a device whose memory the host cannot read.
  template <class T>
  T* data() const;

  // --- views: they share this array's memory ---

  /// The same elements in row-major order under another shape; one size may be -1 (inferred).
  /// ValueError if the sizes do not fit; nullopt if the strides cannot express it without a copy.
  std::optional<NDArray> try_reshape(const Shape& shape) const;
  /// Axis i of the result is axis axes[i] of this array. ValueError unless `axes` is a permutation.
  NDArray permute(const Shape& axes) const;
  NDArray transpose(int64_t axis0, int64_t axis1) const;
  /// Axes of size 1, and new axes on the left, get stride 0. ValueError if the shapes do not fit.
  NDArray broadcast_to(const Shape& shape) const;
  /// One axis restricted to start, start + step, ... before stop, clamped as in Python.
  /// ValueError for step 0, IndexError for the axis.
  NDArray slice(int64_t axis, const Slice& slice) const;
  /// One element of an axis; the axis disappears. IndexError out of range.
  NDArray select(int64_t axis, int64_t index) const;
  NDArray unsqueeze(int64_t axis) const;
  /// Drops an axis of size 1. ValueError if its size is not 1.
  NDArray squeeze(int64_t axis) const;
  NDArray flip(int64_t axis) const;
  /// Any view of the whole memory: element (i, j, ...) lies at offset + i * strides[0] + ...,
  /// counted in elements from the beginning of the storage. ValueError if one lies outside.
  NDArray as_strided(const Shape& shape, const Shape& strides, int64_t offset = 0) const;

 private:
  NDArray with(const Shape& shape, const Shape& strides, int64_t first = 0) const;
  const void* checked_data(DType dtype) const;

  Ref<Storage> storage_;
  View view_;
};

/// `shape` with its -1, if any, replaced by what makes it hold `size` elements.
/// ValueError if that is impossible.
Shape infer_shape(const char* name, const Shape& shape, int64_t size);

template <class T>
T* NDArray::data() const {
  return static_cast<T*>(const_cast<void*>(checked_data(dtype_for<T>())));
}

template <class T>
NDArray NDArray::of(std::span<const T> values, const Shape& shape, Device device) {
  NDArray out = empty(shape, dtype_for<T>(), device);
  if (out.size() != static_cast<int64_t>(values.size())) {
    throw ValueError(str("NDArray: ", values.size(), " values for shape ", shape));
  }
  std::copy(values.begin(), values.end(), out.data<T>());
  return out;
}

}  // namespace needle
