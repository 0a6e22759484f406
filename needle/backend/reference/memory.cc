// Loading and storing through strides; fill and copy.  (Lesson 02)
#include <algorithm>
#include <cmath>
#include <limits>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// The view as an xtensor array of T over the same memory.
template <class T>
auto adapt(const View& x) {
  const std::vector<ptrdiff_t> strides(x.strides.begin(), x.strides.end());
  return xt::adapt(x.as<T>(), static_cast<size_t>(x.size()), xt::no_ownership(), sizes(x.shape),
                   strides);
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
    if constexpr (std::is_floating_point_v<T> == std::is_floating_point_v<Wide>) {
      const auto source = adapt<T>(x);
      std::copy(source.begin(), source.end(), out.begin());
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
    auto target = adapt<T>(out);
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
