// Row by row over the last axis.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {

/// The rows of a view: its last axis, for every index of the others. Kernels see compact rows: one
/// that is not is brought into a buffer of the caller, and put back by finish().
template <class T>
class Rows {
 public:
  explicit Rows(const View& view)
      : view_(view), n_(view.shape.back()), stride_(view.strides.back()), count_(1) {
    for (int axis = 0; axis < view.ndim() - 1; ++axis) count_ *= view.shape[axis];
    direct_ = stride_ == 1 || n_ <= 1;
  }

  int64_t count() const { return count_; }
  int64_t n() const { return n_; }

  [[gnu::always_inline]] const T* read(int64_t row, T* buffer) const {
    const T* from = at(row);
    if (direct_) return from;
    for (int64_t i = 0; i < n_; ++i) buffer[i] = from[i * stride_];
    return buffer;
  }
  /// Where to write the row; call finish() afterwards.
  [[gnu::always_inline]] T* write(int64_t row, T* buffer) const {
    return direct_ ? at(row) : buffer;
  }
  [[gnu::always_inline]] void finish(int64_t row, const T* buffer) const {
    if (direct_) return;
    T* to = at(row);
    for (int64_t i = 0; i < n_; ++i) to[i * stride_] = buffer[i];
  }

 private:
  [[gnu::always_inline]] T* at(int64_t row) const {
    T* data = view_.as<T>();
    for (int axis = view_.ndim() - 2; axis >= 0; --axis) {
      data += row % view_.shape[axis] * view_.strides[axis];
      row /= view_.shape[axis];
    }
    return data;
  }

  const View& view_;
  int64_t n_;
  int64_t stride_;
  int64_t count_;
  bool direct_;
};

/// Element i (row-major order) of a view of any rank.
template <class T>
[[gnu::always_inline]] inline T& element(const View& view, int64_t i) {
  T* data = view.as<T>();
  for (int axis = view.ndim() - 1; axis >= 0; --axis) {
    data += i % view.shape[axis] * view.strides[axis];
    i /= view.shape[axis];
  }
  return *data;
}

/// A compact view of the same shape: of `view`'s own memory if that is compact, else of scratch
/// memory number `which`, with undefined contents.
inline View stand_in(const View& view, int which) {
  if (view.is_contiguous()) return view;
  View out = view;
  int64_t stride = 1;
  for (int axis = view.ndim() - 1; axis >= 0; --axis) {
    out.strides[axis] = stride;
    stride *= view.shape[axis];
  }
  out.data = scratch(which, static_cast<size_t>(stride * size_of(view.dtype)));
  return out;
}

/// The elements of `view`, compact.
inline View compact(const View& view, int which) {
  const View out = stand_in(view, which);
  if (out.data != view.data) copy(view, out);
  return out;
}

/// Rows per thread at least: about 16 thousand elements.
[[gnu::always_inline]] inline int64_t row_grain(int64_t n) { return 1 + 16384 / (n + 1); }

/// Buffers 0 ... `count` - 1 of n elements each, of this thread.
template <class T>
class RowBuffers {
 public:
  RowBuffers(int count, int64_t n)
      : step_((n + 63) / 64 * 64),
        data_(static_cast<T*>(scratch(2, static_cast<size_t>(count * step_) * sizeof(T)))) {}
  T* operator[](int i) const { return data_ + i * step_; }

 private:
  int64_t step_;
  T* data_;
};

/// The largest of n elements; NaN if one is NaN.
template <class T>
[[gnu::always_inline]] inline T row_max(const T* x, int64_t n) {
  const T lowest = -std::numeric_limits<T>::infinity();
  Vec<T> largest(lowest);
  Vec<T> nan(T(0));  // keeps the NaNs it meets
  vectors<T>(n, [&](auto load, auto) {
    const Vec<T> v = load(x, lowest);
    largest = xsimd::select(v > largest, v, largest);
    nan = xsimd::select(v == v, nan, v);  // not v != v: see binary.cc
  });
  const T sum = hsum<T>(nan);
  return sum != sum ? sum : hmax<T>(largest);
}

/// The sum of n elements: vectors within pieces of 4096, pieces in double, so that the error does
/// not grow with n.
template <class T>
[[gnu::always_inline]] inline double row_sum(const T* x, int64_t n) {
  constexpr int64_t kChunk = 4096;
  double total = 0;
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t m = n - i < kChunk ? n - i : kChunk;
    Vec<T> sum[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
    int64_t j = i;
    for (; j + 4 * kWidth<T> <= i + m; j += 4 * kWidth<T>) {
#pragma GCC unroll 4  // else the sums are kept in memory
      for (int u = 0; u < 4; ++u) sum[u] += Vec<T>::load_unaligned(x + j + u * kWidth<T>);
    }
    vectors<T>(i + m - j, [&](auto load, auto) { sum[0] += load(x + j, T(0)); });
    total += hsum<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
  return total;
}

}  // namespace needle::NEEDLE_ISA
