// Many elements in, one out: sums, products, extremes.  (Lesson 02)
#include <functional>
#include <limits>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// Folds x into an array of `shape` (size 1 on every reduced axis) by total = f(total, x).
template <class Wide, class Total, class F>
Array<Wide> fold(const Array<Wide>& x, const Shape& shape, Total first, F f) {
  Array<Total> totals(sizes(shape), first);
  if (x.size() == 0) return xt::cast<Wide>(totals);
  // The totals seen in the shape of x: xtensor gives an axis of size 1 the stride 0, so walking a
  // reduced axis stays at the same total.
  auto total_of =
      xt::adapt(totals.data(), x.size(), xt::no_ownership(), x.shape(), totals.strides());
  std::transform(total_of.begin(), total_of.end(), x.begin(), total_of.begin(), f);
  return xt::cast<Wide>(totals);
}

template <class Wide>
Array<Wide> fold(Reduce op, const Array<Wide>& x, const Shape& shape) {
  using Limits = std::numeric_limits<Wide>;
  using Total = std::conditional_t<Limits::is_integer, Wide, Sum>;
  const auto times = [](Total a, Wide b) {
    if constexpr (Limits::is_integer) return wrap(std::multiplies(), a, b);
    return a * b;
  };
  const auto plus = [](Total a, Wide b) {
    if constexpr (Limits::is_integer) return wrap(std::plus(), a, b);
    return a + b;
  };
  const Wide highest = Limits::is_integer ? Limits::max() : Limits::infinity();
  const Wide lowest = Limits::is_integer ? Limits::min() : -Limits::infinity();
  switch (op) {
    case Reduce::sum: return fold(x, shape, Total{0}, plus);
    case Reduce::prod: return fold(x, shape, Total{1}, times);
    case Reduce::max: return fold(x, shape, lowest, maximum<Wide>);
    case Reduce::min: return fold(x, shape, highest, minimum<Wide>);
  }
  throw ValueError("reduce: unknown operation");
}

/// Whether a is more extreme than b. NaN is more extreme than every number, but not than NaN.
template <class Wide>
bool beats(ArgReduce op, Wide a, Wide b) {
  if (b != b) return false;
  if (a != a) return true;
  return op == ArgReduce::argmax ? a > b : a < b;
}

}  // namespace

void reduce(Reduce op, const View& x, const View& out) {
  visit_wide(x.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    store(fold(op, load<Wide>(x), out.shape), out);
  });
}

void arg_reduce(ArgReduce op, const View& x_view, int axis, const View& out) {
  // x as (outer, n, inner), where n is the size of the axis.
  const int64_t n = x_view.shape[axis];
  int64_t inner = 1;
  for (int i = axis + 1; i < x_view.ndim(); ++i) inner *= x_view.shape[i];

  visit_wide(x_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    const Array<Wide> x = load<Wide>(x_view);
    Integers best = xt::zeros<int64_t>(sizes(out.shape));
    for (int64_t i = 0; i < out.size(); ++i) {
      const Wide* line = x.data() + i / inner * n * inner + i % inner;
      int64_t& index = best.flat(i);
      for (int64_t j = 1; j < n; ++j) {
        if (beats(op, line[j * inner], line[index * inner])) index = j;
      }
    }
    store(best, out);
  });
}

}  // namespace needle::reference
