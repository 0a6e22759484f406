// Functions of one element, and their derivatives.  (Lessons 02 and 04)
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

template <class T>
__device__ T sigmoid(T x) {
  return quotient(T(1), 1 + std::exp(-x));
}

/// Of N(0, 1), the part below x. (erfc keeps more digits where x is far below 0, and takes longer
/// than memory leaves time for.)
template <class T>
__device__ T normal_below(T x) {
  return T(0.5) + T(0.5) * std::erf(x * T(0.70710678118654752));
}
template <class T>
__device__ T normal_density(T x) {
  return std::exp(T(-0.5) * x * x) * T(0.39894228040143268);
}

/// -x, which wraps around for the smallest int.
template <class T>
__device__ T negative(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(-static_cast<std::make_unsigned_t<T>>(x));
  } else {
    return -x;
  }
}

template <Unary op, class T>
struct Apply {
  __device__ T operator()(T x) const {
    if constexpr (op == Unary::neg) return negative(x);
    if constexpr (op == Unary::abs) {
      if constexpr (std::is_integral_v<T>) return x < 0 ? negative(x) : x;
      if constexpr (!std::is_integral_v<T>) return std::abs(x);
    }
    if constexpr (op == Unary::relu) return x < 0 ? T(0) : x;
    if constexpr (op == Unary::exp) return std::exp(x);
    if constexpr (op == Unary::log) return std::log(x);
    if constexpr (op == Unary::log1p) return std::log1p(x);
    if constexpr (op == Unary::sqrt) return std::sqrt(x);
    if constexpr (op == Unary::rsqrt) return 1 / std::sqrt(x);
    if constexpr (op == Unary::sin) return std::sin(x);
    if constexpr (op == Unary::cos) return std::cos(x);
    if constexpr (op == Unary::tanh) return std::tanh(x);
    if constexpr (op == Unary::sigmoid) return sigmoid(x);
    if constexpr (op == Unary::gelu) return x * normal_below(x);
    if constexpr (op == Unary::silu) return x * sigmoid(x);
    if constexpr (op == Unary::erf) return std::erf(x);
  }
};

/// dy * op'(x), where y = op(x).
template <Unary op, class T>
struct Slope {
  __device__ T operator()(T x, T y, T dy) const { return dy * derivative(x, y); }

  __device__ static T derivative(T x, T y) {
    if constexpr (op == Unary::neg) return -1;
    if constexpr (op == Unary::abs) return x > 0 ? 1 : x < 0 ? -1 : 0;
    if constexpr (op == Unary::exp) return y;
    if constexpr (op == Unary::log) return 1 / x;
    if constexpr (op == Unary::log1p) return 1 / (1 + x);
    if constexpr (op == Unary::sqrt) return T(0.5) / y;
    if constexpr (op == Unary::rsqrt) return T(-0.5) * y / x;
    if constexpr (op == Unary::sin) return std::cos(x);
    if constexpr (op == Unary::cos) return -std::sin(x);
    if constexpr (op == Unary::tanh) return 1 - y * y;
    if constexpr (op == Unary::sigmoid) return y * (1 - y);
    if constexpr (op == Unary::relu) return x > 0 ? 1 : 0;
    if constexpr (op == Unary::gelu) return normal_below(x) + x * normal_density(x);
    if constexpr (op == Unary::silu) {
      const T s = sigmoid(x);
      return s * (1 + x * (1 - s));
    }
    if constexpr (op == Unary::erf) return T(1.1283791670955126) * std::exp(-x * x);
  }
};

constexpr bool takes_ints(Unary op) {
  return op == Unary::neg || op == Unary::abs || op == Unary::relu;
}

}  // namespace

void unary(Unary op, const View& x, const View& out) {
  const auto w = walk(Order::memory, out, x);
  visit_op<kUnaries>(op, [&](auto constant) {
    constexpr Unary known = decltype(constant)::value;
    visit_arithmetic(x.dtype, [&]<class T>(Tag<T>) {
      if constexpr (std::is_floating_point_v<T> || (takes_ints(known) && sizeof(T) > 1)) {
        map<T, T>(w, Apply<known, T>{});
      }
    });
  });
}

void unary_backward(Unary op, const View& x, const View& y, const View& dy, const View& dx) {
  const auto w = walk(Order::memory, dx, x, y, dy);
  visit_op<kUnaries>(op, [&](auto constant) {
    visit_floating(x.dtype, [&]<class T>(Tag<T>) {
      map<T, T, T, T>(w, Slope<decltype(constant)::value, T>{});
    });
  });
}

}  // namespace needle::NEEDLE_GPU
