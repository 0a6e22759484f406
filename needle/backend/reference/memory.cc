// Loading and storing through strides; fill and copy.  (Lesson 02)
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// Goes through the elements of a view in row-major order. (xtensor's own iterators do the same, and
/// take a function call or two for each element.)
template <class T>
class Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = T;
  using difference_type = ptrdiff_t;
  using pointer = T*;
  using reference = T&;

  Iterator(const View& x, int64_t left) : view_(&x), at_(x.as<T>()), left_(left) {}
  T& operator*() const { return *at_; }
  Iterator& operator++() {
    --left_;
    for (int axis = view_->ndim() - 1; axis >= 0; --axis) {
      at_ += view_->strides[axis];
      if (++index_[axis] < view_->shape[axis]) break;
      at_ -= view_->strides[axis] * view_->shape[axis];
      index_[axis] = 0;
    }
    return *this;
  }
  bool operator==(const Iterator& other) const { return left_ == other.left_; }

 private:
  const View* view_;
  T* at_;
  int64_t left_;
  int64_t index_[kMaxDims] = {};
};

/// The view as a range of T.
template <class T>
class Elements {
 public:
  explicit Elements(const View& x) : view_(x) {}
  Iterator<T> begin() const { return {view_, view_.size()}; }
  Iterator<T> end() const { return {view_, 0}; }

 private:
  const View& view_;
};

/// value as the wide type, which holds it exactly.
template <class Wide, class T>
Wide widen(T value) {
  if constexpr (is_half_v<T>) return static_cast<float>(value);
  if constexpr (!is_half_v<T>) return value;
}

/// value as a T. C++ leaves floating -> int undefined where the value does not fit (and for NaN);
/// here, as in NumPy on x86, the result is then the smallest int.
template <class T, class Wide>
T narrow(Wide value) {
  if constexpr (std::is_same_v<Wide, double> && std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr T kSmallest = std::numeric_limits<T>::min();
    const double whole = std::trunc(value);
    // -kSmallest is 2^31 or 2^63: exact in double, unlike the largest int64.
    const bool fits = whole >= kSmallest && whole < -static_cast<double>(kSmallest);
    return fits ? static_cast<T>(whole) : kSmallest;
  } else {
    return static_cast<T>(value);
  }
}

}  // namespace

template <class Wide>
Array<Wide> load(const View& x) {
  Array<Wide> out(sizes(x.shape));
  visit_dtype(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr bool real = is_half_v<T> || std::is_floating_point_v<T>;
    if constexpr (real == std::is_floating_point_v<Wide>) {
      const Elements<T> source(x);
      std::transform(source.begin(), source.end(), out.begin(), widen<Wide, T>);
    } else {
      throw TypeError(str("reference: a kernel does not take ", x.dtype));
    }
  });
  return out;
}

template <class Wide>
void store(Array<Wide> values, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Elements<T> target(out);
    std::transform(values.begin(), values.end(), target.begin(), narrow<T, Wide>);
  });
}

template Reals load(const View&);
template Integers load(const View&);
template void store(Reals, const View&);
template void store(Integers, const View&);

Reals rows(const View& x) {
  Shape leading = x.shape;
  leading.erase(x.ndim() - 1);
  Reals values = reals(x);
  values.reshape(sizes({leading.size(), x.shape.back()}));
  return values;
}

void fill(Scalar value, const View& out) {
  if (is_floating(out.dtype)) {
    store(Reals(sizes(out.shape), value.real), out);
  } else {
    store(Integers(sizes(out.shape), value.integer), out);
  }
}

void copy(const View& x, const View& out) {
  visit_wide(x.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    store(load<Wide>(x), out);
  });
}

}  // namespace needle::reference
