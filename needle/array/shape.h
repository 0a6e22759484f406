// Shape: a short list of sizes, kept without heap memory; also used for strides.  (Lesson 02)
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>

namespace needle {

inline constexpr int kMaxDims = 8;

/// Up to kMaxDims integers: the sizes of an array's axes, or their strides in elements.
/// A plain value that may cross into kernels.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  /// ValueError if there are more than kMaxDims sizes.
  explicit Shape(std::span<const int64_t> sizes);
  /// n axes of the same size.
  static Shape filled(int n, int64_t size);

  [[gnu::always_inline]] int ndim() const { return ndim_; }
  [[gnu::always_inline]] int64_t operator[](int axis) const { return sizes_[axis]; }
  [[gnu::always_inline]] int64_t& operator[](int axis) { return sizes_[axis]; }
  [[gnu::always_inline]] int64_t back() const { return sizes_[ndim_ - 1]; }
  [[gnu::always_inline]] int64_t& back() { return sizes_[ndim_ - 1]; }
  const int64_t* begin() const { return sizes_; }
  const int64_t* end() const { return sizes_ + ndim_; }
  int64_t* begin() { return sizes_; }
  int64_t* end() { return sizes_ + ndim_; }

  /// The product of all sizes: 1 for a scalar.
  [[gnu::always_inline]] int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim_; ++i) n *= sizes_[i];
    return n;
  }

  /// ValueError beyond kMaxDims.
  void push_back(int64_t size);
  void insert(int axis, int64_t size);
  void erase(int axis);

  bool operator==(const Shape& other) const {
    bool same = ndim_ == other.ndim_;
    for (int i = 0; same && i < ndim_; ++i) same = sizes_[i] == other.sizes_[i];
    return same;
  }

 private:
  int64_t sizes_[kMaxDims] = {};
  int ndim_ = 0;
};

/// "(2, 3)", "(5,)", "()": as Python prints a tuple.
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// Strides, in elements, of a row-major (C order) array without gaps: the last axis is 1.
Shape compact_strides(const Shape& shape);

/// The shape both operands of `name` broadcast to, by NumPy's rule: align on the right; two sizes
/// agree if they are equal or one of them is 1. ValueError naming both shapes otherwise.
Shape broadcast_shapes(const char* name, const Shape& a, const Shape& b);

/// An axis in [-ndim, ndim) as one in [0, ndim). IndexError naming `name` otherwise.
int normalize_axis(const char* name, int64_t axis, int ndim);

}  // namespace needle
