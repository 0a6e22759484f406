// Row by row over the last axis.  (Lesson 04)
#pragma once

#include <limits>

#include "needle/backend/cpu/isa.h"
#include "needle/backend/cpu/stream.h"

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
    past_ = direct_ && past_caches(count_ * n_ * int64_t{sizeof(T)});
    fetches_ = direct_ && n_ * int64_t{sizeof(T)} <= caches().l2 / 8;
  }

  int64_t count() const { return count_; }
  int64_t n() const { return n_; }

  [[gnu::always_inline]] const T* read(int64_t row, T* buffer) const {
    const T* from = at(row);
    if (direct_) return from;
    for (int64_t i = 0; i < n_; ++i) buffer[i] = from[i * stride_];
    return buffer;
  }
  /// What to fetch (see isa.h) while a pass over row `row` reads it from the cache and memory would
  /// stand idle: the next row, if there is one before `end`, and it is short enough to wait there.
  [[gnu::always_inline]] const T* after(int64_t row, int64_t end) const {
    return at(fetches_ && row + 1 < end ? row + 1 : row);
  }
  /// Where to write the row; call finish() afterwards.
  [[gnu::always_inline]] Out<T> write(int64_t row, T* buffer) const {
    return direct_ ? out_at(at(row), past_) : Out<T>{buffer};
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
  bool past_;
  bool fetches_;
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

/// A compact view like `view`, of scratch memory number `which`, with undefined contents.
inline View compact_scratch(const View& view, int which) {
  View out = view;
  int64_t stride = 1;
  for (int axis = view.ndim() - 1; axis >= 0; --axis) {
    out.strides[axis] = stride;
    stride *= view.shape[axis];
  }
  out.data = scratch(which, static_cast<size_t>(stride * size_of(view.dtype)));
  return out;
}

/// `view` itself if that is compact, else a compact view like it, of scratch memory number `which`.
inline View stand_in(const View& view, int which) {
  return view.is_contiguous() ? view : compact_scratch(view, which);
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

/// Folds n elements into four vectors: element i in steps of four vectors into a, b, c, d, so that
/// no addition waits for the one before. add(load, sum) returns the new sum.
template <class T, class Sum, class Add>
[[gnu::always_inline]] inline void fold_four(int64_t begin, int64_t end, Sum& a, Sum& b, Sum& c,
                                             Sum& d, Add&& add) {
  constexpr int64_t w = kWidth<T>;
  int64_t i = begin;
  for (; i + 4 * w <= end; i += 4 * w) {
    a = add(LoadAt<T>{i}, a);
    b = add(LoadAt<T>{i + w}, b);
    c = add(LoadAt<T>{i + 2 * w}, c);
    d = add(LoadAt<T>{i + 3 * w}, d);
  }
  for (; i + w <= end; i += w) a = add(LoadAt<T>{i}, a);
  if (i < end) a = add(LoadPart<T>{i, end - i}, a);
}

/// Processors fetch ahead of what is read, up to the end of a page; what comes a page later is asked for.
inline constexpr int64_t kPage = 4096;

/// The largest of n elements; NaN if one is NaN.
template <class T>
[[gnu::always_inline]] inline T row_max(const T* x, int64_t n) {
  struct Found {
    Vec<T> largest, nan;  // nan keeps the NaNs it meets; max may lose them
  };
  const T lowest = -std::numeric_limits<T>::infinity();
  Found a{Vec<T>(lowest), Vec<T>(T(0))}, b = a, c = a, d = a;
  fold_four<T>(0, n, a, b, c, d, [&](auto load, Found f) {
    load.fetch(x + kPage / int64_t{sizeof(T)});
    const Vec<T> v = load(x, lowest);
    // Not v != v: see binary.cc.
    return Found{xsimd::max(v, f.largest), xsimd::select(v == v, f.nan, v)};
  });
  const T sum = hsum<T>((a.nan + b.nan) + (c.nan + d.nan));
  if (sum != sum) return sum;
  return hmax<T>(xsimd::max(xsimd::max(a.largest, b.largest), xsimd::max(c.largest, d.largest)));
}

/// The sum over n elements of what add(load, sum) = sum + ... adds to a vector: in pieces of 4096
/// elements, and the pieces in double, so that the error does not grow with n.
template <class T, class Add>
[[gnu::always_inline]] inline double sum_over(int64_t n, Add&& add) {
  constexpr int64_t kChunk = 4096;
  double total = 0;
  for (int64_t i = 0; i < n; i += kChunk) {
    Vec<T> a(T(0)), b(T(0)), c(T(0)), d(T(0));
    fold_four<T>(i, least(n, i + kChunk), a, b, c, d, add);
    total += hsum<T>((a + b) + (c + d));
  }
  return total;
}

/// The sum of n elements: row_sum.cc.
template <class T>
double row_sum(const T* x, int64_t n);

/// The sum of the products of n elements each.
template <class T>
[[gnu::always_inline]] inline double row_dot(const T* x, const T* y, int64_t n) {
  return sum_over<T>(
      n, [&](auto load, Vec<T> sum) { return fma<T>(load(x, T(0)), load(y, T(0)), sum); });
}

}  // namespace needle::NEEDLE_ISA
