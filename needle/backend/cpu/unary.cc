// Functions of one argument, and their slopes.  (Lesson 04)
#include <cmath>
#include <type_traits>

#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

/// f of each lane: for functions whose vector version needs a function of its own (see isa.h).
template <class V, class F>
[[gnu::always_inline]] inline V lanes(V x, F f) {
  alignas(64) typename V::value_type lane[V::size];
  x.store_aligned(lane);
  for (size_t i = 0; i < V::size; ++i) lane[i] = f(lane[i]);
  return V::load_aligned(lane);
}

/// float64 is there to be exact: where xsimd 8.1 is off by more than a few units (erf, and the
/// logarithm of denormals), the C library answers.
template <class V>
inline constexpr bool kPrecise = sizeof(typename V::value_type) == 8;

template <class V>
[[gnu::always_inline]] inline V normal_cdf(V x) {
  // erfc, not 1 + erf: the sum would lose all digits for x far below 0.
  const V z = x * V(-0.70710678118654752440);
  if constexpr (kPrecise<V>) return V(0.5) * lanes(z, [](auto v) { return std::erfc(v); });
  return V(0.5) * xsimd::erfc(z);
}

template <Unary op, class V>
[[gnu::always_inline]] inline V apply(V x) {
  if constexpr (op == Unary::neg) return -x;
  if constexpr (op == Unary::abs) return xsimd::abs(x);
  if constexpr (op == Unary::exp) return xsimd::exp(x);
  if constexpr (op == Unary::log && kPrecise<V>) {
    return lanes(x, [](auto v) { return std::log(v); });
  }
  if constexpr (op == Unary::log) return xsimd::log(x);
  if constexpr (op == Unary::log1p) return xsimd::log1p(x);
  if constexpr (op == Unary::sqrt) return xsimd::sqrt(x);
  if constexpr (op == Unary::rsqrt) return V(1) / xsimd::sqrt(x);
  if constexpr (op == Unary::sin) return lanes(x, [](auto v) { return std::sin(v); });
  if constexpr (op == Unary::cos) return lanes(x, [](auto v) { return std::cos(v); });
  if constexpr (op == Unary::tanh) return xsimd::tanh(x);
  if constexpr (op == Unary::sigmoid) return V(1) / (V(1) + xsimd::exp(-x));
  if constexpr (op == Unary::relu) return xsimd::select(x < V(0), V(0), x);  // NaN stays
  if constexpr (op == Unary::gelu) return x * normal_cdf(x);
  if constexpr (op == Unary::silu) return x / (V(1) + xsimd::exp(-x));
  if constexpr (op == Unary::erf && kPrecise<V>) {
    return lanes(x, [](auto v) { return std::erf(v); });
  }
  if constexpr (op == Unary::erf) return xsimd::erf(x);
}

/// op'(x), from x and y = op(x), whichever is cheaper.
template <Unary op, class V>
[[gnu::always_inline]] inline V slope(V x, V y) {
  if constexpr (op == Unary::neg) return V(-1);
  if constexpr (op == Unary::abs) {
    return xsimd::select(x > V(0), V(1), xsimd::select(x < V(0), V(-1), x));
  }
  if constexpr (op == Unary::exp) return y;
  if constexpr (op == Unary::log) return V(1) / x;
  if constexpr (op == Unary::log1p) return V(1) / (V(1) + x);
  if constexpr (op == Unary::sqrt) return V(0.5) / y;
  if constexpr (op == Unary::rsqrt) return V(-0.5) * y * y * y;
  if constexpr (op == Unary::sin) return apply<Unary::cos>(x);
  if constexpr (op == Unary::cos) return -apply<Unary::sin>(x);
  if constexpr (op == Unary::tanh) return V(1) - y * y;
  if constexpr (op == Unary::sigmoid) return y * (V(1) - y);
  if constexpr (op == Unary::relu) return xsimd::select(x > V(0), V(1), V(0));
  if constexpr (op == Unary::gelu) {
    const V density = V(0.39894228040143267794) * xsimd::exp(V(-0.5) * x * x);
    return normal_cdf(x) + x * density;
  }
  if constexpr (op == Unary::silu) {
    const V s = V(1) / (V(1) + xsimd::exp(-x));
    return s * (V(1) + x * (V(1) - s));
  }
  if constexpr (op == Unary::erf) return V(1.1283791670955125739) * xsimd::exp(-x * x);
}

/// f(constant<op>) with the op as a compile-time constant.
template <class F, int... I>
[[gnu::always_inline]] inline void visit_unary(Unary op, F&& f, std::integer_sequence<int, I...>) {
  (void)((static_cast<int>(op) == I &&
          (f(std::integral_constant<Unary, static_cast<Unary>(I)>{}), true)) ||
         ...);
}

template <class T>
void unary_integer(Unary op, const View& x, const View& out) {
  const Piece<T, T> negate = [](int64_t n, T* y, const T* const* in) {
    using U = std::make_unsigned_t<T>;  // -min is undefined for a signed T and wraps for U
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(U(0) - static_cast<U>(in[0][i]));
  };
  const Piece<T, T> magnitude = [](int64_t n, T* y, const T* const* in) {
    using U = std::make_unsigned_t<T>;
    for (int64_t i = 0; i < n; ++i) {
      y[i] = in[0][i] < 0 ? static_cast<T>(U(0) - static_cast<U>(in[0][i])) : in[0][i];
    }
  };
  const Piece<T, T> rectify = [](int64_t n, T* y, const T* const* in) {
    for (int64_t i = 0; i < n; ++i) y[i] = in[0][i] < 0 ? 0 : in[0][i];
  };
  pieces<T, T>(walk(out, x), op == Unary::neg ? negate : op == Unary::abs ? magnitude : rectify);
}

}  // namespace

void unary(Unary op, const View& x, const View& out) {
  if (out.dtype == DType::int32) return unary_integer<int32_t>(op, x, out);
  if (out.dtype == DType::int64) return unary_integer<int64_t>(op, x, out);
  visit_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Piece<T, T> f = nullptr;
    visit_unary(
        op,
        [&](auto chosen) {
          f = [](int64_t n, T* y, const T* const* in) {
            vectors<T>(n, [&](auto load, auto store) {
              store(y, apply<decltype(chosen)::value>(load(in[0], T(1))));
            });
          };
        },
        std::make_integer_sequence<int, kUnaries>{});
    pieces<T, T>(walk(out, x), f);
  });
}

void unary_backward(Unary op, const View& x, const View& y, const View& dy, const View& dx) {
  visit_floating(dx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Piece<T, T> f = nullptr;
    visit_unary(
        op,
        [&](auto chosen) {
          f = [](int64_t n, T* to, const T* const* in) {
            vectors<T>(n, [&](auto load, auto store) {
              store(to, load(in[2], T(0)) *
                            slope<decltype(chosen)::value>(load(in[0], T(1)), load(in[1], T(1))));
            });
          };
        },
        std::make_integer_sequence<int, kUnaries>{});
    pieces<T, T>(walk(dx, x, y, dy), f);
  });
}

}  // namespace needle::NEEDLE_ISA
