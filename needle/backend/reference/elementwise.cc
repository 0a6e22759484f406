// One element in, one element out.  (Lessons 02 and 03)
#include <cmath>
#include <functional>
#include <numbers>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The standard normal distribution: of N(0, 1), the part below x. erfc, not 1 + erf, which loses
/// all digits where x is far below 0.
double normal_below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double normal_density(double x) {
  return std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}

double apply(Unary op, double x) {
  switch (op) {
    case Unary::neg: return -x;
    case Unary::abs: return std::abs(x);
    case Unary::exp: return std::exp(x);
    case Unary::log: return std::log(x);
    case Unary::log1p: return std::log1p(x);
    case Unary::sqrt: return std::sqrt(x);
    case Unary::rsqrt: return 1 / std::sqrt(x);
    case Unary::sin: return std::sin(x);
    case Unary::cos: return std::cos(x);
    case Unary::tanh: return std::tanh(x);
    case Unary::sigmoid: return sigmoid(x);
    case Unary::relu: return x < 0 ? 0 : x;
    case Unary::gelu: return x * normal_below(x);
    case Unary::silu: return x * sigmoid(x);
    case Unary::erf: return std::erf(x);
  }
  throw ValueError("unary: unknown operation");
}

int64_t apply(Unary op, int64_t x) {
  const int64_t negative = wrap(std::minus(), 0, x);
  switch (op) {
    case Unary::neg: return negative;
    case Unary::abs: return x < 0 ? negative : x;
    case Unary::relu: return x < 0 ? 0 : x;
    default: throw TypeError("unary: this operation is defined for floating dtypes only");
  }
}

/// op'(x), where y = op(x). At 0, where abs and relu have none: 0.
double derivative(Unary op, double x, double y) {
  switch (op) {
    case Unary::neg: return -1;
    case Unary::abs: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case Unary::exp: return y;
    case Unary::log: return 1 / x;
    case Unary::log1p: return 1 / (1 + x);
    case Unary::sqrt: return 0.5 / y;
    case Unary::rsqrt: return -0.5 * y / x;
    case Unary::sin: return std::cos(x);
    case Unary::cos: return -std::sin(x);
    case Unary::tanh: return 1 - y * y;
    case Unary::sigmoid: return y * (1 - y);
    case Unary::relu: return x > 0 ? 1 : 0;
    case Unary::gelu: return normal_below(x) + x * normal_density(x);
    case Unary::silu: return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
    case Unary::erf: return 2 * std::numbers::inv_sqrtpi * std::exp(-x * x);
  }
  throw ValueError("unary_backward: unknown operation");
}

double apply(Binary op, double a, double b) {
  switch (op) {
    case Binary::add: return a + b;
    case Binary::sub: return a - b;
    case Binary::mul: return a * b;
    case Binary::div: return a / b;
    case Binary::pow: return std::pow(a, b);
    case Binary::maximum: return maximum(a, b);
    case Binary::minimum: return minimum(a, b);
  }
  throw ValueError("binary: unknown operation");
}

int64_t apply(Binary op, int64_t a, int64_t b) {
  switch (op) {
    case Binary::add: return wrap(std::plus(), a, b);
    case Binary::sub: return wrap(std::minus(), a, b);
    case Binary::mul: return wrap(std::multiplies(), a, b);
    case Binary::maximum: return maximum(a, b);
    case Binary::minimum: return minimum(a, b);
    default: throw TypeError("binary: this operation is defined for floating dtypes only");
  }
}

template <class Wide>
bool holds(Compare op, Wide a, Wide b) {
  switch (op) {
    case Compare::equal: return a == b;
    case Compare::not_equal: return a != b;
    case Compare::less: return a < b;
    case Compare::less_equal: return a <= b;
    case Compare::greater: return a > b;
    case Compare::greater_equal: return a >= b;
  }
  throw ValueError("compare: unknown operation");
}

}  // namespace

void unary(Unary op, const View& x_view, const View& out) {
  visit_wide(x_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    Array<Wide> x = load<Wide>(x_view);
    for (Wide& value : x) value = apply(op, value);
    store(x, out);
  });
}

void unary_backward(Unary op, const View& x_view, const View& y_view, const View& dy,
                    const View& dx_view) {
  const Reals x = reals(x_view);
  const Reals y = reals(y_view);
  Reals dx = reals(dy);
  for (size_t i = 0; i < x.size(); ++i) dx.flat(i) *= derivative(op, x.flat(i), y.flat(i));
  store(dx, dx_view);
}

void binary(Binary op, const View& a_view, const View& b_view, const View& out) {
  visit_wide(a_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    Array<Wide> a = load<Wide>(a_view);
    const Array<Wide> b = load<Wide>(b_view);
    for (size_t i = 0; i < a.size(); ++i) a.flat(i) = apply(op, a.flat(i), b.flat(i));
    store(a, out);
  });
}

void compare(Compare op, const View& a_view, const View& b_view, const View& out) {
  visit_wide(a_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    const Array<Wide> a = load<Wide>(a_view);
    const Array<Wide> b = load<Wide>(b_view);
    Integers truth(sizes(out.shape));
    for (size_t i = 0; i < a.size(); ++i) truth.flat(i) = holds(op, a.flat(i), b.flat(i));
    store(truth, out);
  });
}

void where(const View& condition_view, const View& a_view, const View& b_view, const View& out) {
  const Integers condition = integers(condition_view);
  visit_wide(a_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    Array<Wide> a = load<Wide>(a_view);
    const Array<Wide> b = load<Wide>(b_view);
    for (size_t i = 0; i < a.size(); ++i) a.flat(i) = condition.flat(i) ? a.flat(i) : b.flat(i);
    store(a, out);
  });
}

}  // namespace needle::reference
