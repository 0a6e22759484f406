// Functions of one argument, and their slopes.  (Lesson 04)
#include <cmath>
#include <type_traits>

#include "needle/backend/cpu/exp.h"
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

/// 2 exp(-z^2 / 2) in float32, for z from -15 to 15. The square is never rounded: an error in an
/// exponent is one in the result. Below 2^-126 the result is 0.
template <class V>
[[gnu::always_inline]] inline V twice_exp_half_square(V z) {
  using T = typename V::value_type;
  // z^2 = r - 2 k log(2), and 2 exp(-r / 2) = 2 - r + r^2 (a polynomial, fitted, relative error 3e-9).
  const V k = xsimd::nearbyint(z * z * V(T(-0.72134752)));
  const V r = fma<T>(k, V(T(-4.24388880e-4)), fma<T>(z, z, k * V(T(1.38671875))));
  const V r2 = r * r;
  const V low = fma<T>(V(T(-0.0416663025)), r, V(T(0.24999997)));
  const V high = fma<T>(fma<T>(V(T(4.3170619e-5)), r, V(T(-5.2304479e-4))), r, V(T(0.0052085488)));
  return times_power(fma<T>(fma<T>(high, r2, low), r2, V(2) - r), k);
}

/// -|x|, down to where the normal distribution ends for all that T can tell.
template <class V>
[[gnu::always_inline]] inline V below_mean(V x) {
  return xsimd::max(x | V(-0.0), V(kPrecise<V> ? -40 : -15));
}

/// The normal distribution at z <= 0: the probability of less than z, and its density.
template <class V>
struct Normal {
  V below, density;
};

template <class V>
[[gnu::always_inline]] inline Normal<V> normal_at(V z) {
  using T = typename V::value_type;
  const V height(T(0.39894228040143267794));  // of the density at 0
  if constexpr (kPrecise<V>) {
    const V scaled = z * V(T(-0.70710678118654752440));
    return {V(0.5) * lanes(scaled, [](auto v) { return std::erfc(v); }),
            height * exp<T>(V(-0.5) * z * z)};
  } else {
    // It is exp(-z^2 / 2) times a function that falls slowly, from 1/2: a quotient of polynomials,
    // fitted, relative error 7e-9. So it keeps its digits however small it is.
    const auto times_z = [&](V sum, double c) { return fma<T>(sum, z, V(T(c))); };
    V over = times_z(V(T(-0.19947327)), 1.963463);
    over = times_z(times_z(times_z(over, -8.8357946), 21.098232), -24.014415);
    V under = times_z(times_z(z + V(T(-9.8439313)), 45.282267), -115.80192);
    under = times_z(times_z(under, 161.0359), -96.057659);
    const V e = twice_exp_half_square(z);
    return {e * over / under, V(T(0.5)) * height * e};
  }
}

template <Unary op, class V>
[[gnu::always_inline]] inline V apply(V x) {
  using T = typename V::value_type;
  if constexpr (op == Unary::neg) return -x;
  if constexpr (op == Unary::abs) return xsimd::abs(x);
  if constexpr (op == Unary::exp) return exp<T>(x);
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
  if constexpr (op == Unary::sigmoid) return V(1) / (V(1) + exp<T>(-x));
  if constexpr (op == Unary::relu) return xsimd::select(x < V(0), V(0), x);  // NaN stays
  if constexpr (op == Unary::gelu) {
    // x P(less than x) = max(0, x) - |x| P(less than -|x|), where nothing cancels. In this order NaN
    // stays, and -inf, which times 0 is NaN.
    const V z = below_mean(x);
    return fma<T>(xsimd::min(x, z), normal_at(z).below, xsimd::max(V(0), x));
  }
  if constexpr (op == Unary::silu) return x / (V(1) + exp<T>(-x));
  if constexpr (op == Unary::erf && kPrecise<V>) {
    return lanes(x, [](auto v) { return std::erf(v); });
  }
  if constexpr (op == Unary::erf) return xsimd::erf(x);
}

/// op'(x), from x and y = op(x), whichever is cheaper.
template <Unary op, class V>
[[gnu::always_inline]] inline V slope(V x, V y) {
  using T = typename V::value_type;
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
    const Normal<V> normal = normal_at(below_mean(x));
    return xsimd::select(x < V(0), normal.below, V(1) - normal.below) + x * normal.density;
  }
  if constexpr (op == Unary::silu) {
    const V s = V(1) / (V(1) + exp<T>(-x));
    return s * (V(1) + x * (V(1) - s));
  }
  if constexpr (op == Unary::erf) return V(1.1283791670955125739) * exp<T>(-x * x);
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
  const Piece<T, T> negate = [](int64_t n, Out<T> y, const T* const* in) {
    using U = std::make_unsigned_t<T>;  // -min is undefined for a signed T and wraps for U
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(U(0) - static_cast<U>(in[0][i]));
  };
  const Piece<T, T> magnitude = [](int64_t n, Out<T> y, const T* const* in) {
    using U = std::make_unsigned_t<T>;
    for (int64_t i = 0; i < n; ++i) {
      y[i] = in[0][i] < 0 ? static_cast<T>(U(0) - static_cast<U>(in[0][i])) : in[0][i];
    }
  };
  const Piece<T, T> rectify = [](int64_t n, Out<T> y, const T* const* in) {
    for (int64_t i = 0; i < n; ++i) y[i] = in[0][i] < 0 ? 0 : in[0][i];
  };
  pieces<T, T>(walk(out, x), op == Unary::neg ? negate : op == Unary::abs ? magnitude : rectify);
}

int64_t grain(Unary op) {
  const bool cheap = op == Unary::neg || op == Unary::abs || op == Unary::relu;
  return cheap ? kGrain : kCostlyGrain;
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
          f = [](int64_t n, Out<T> y, const T* const* in) {
            vectors<T>(n, [&] [[gnu::always_inline]] (auto load, auto store) {
              store(y, apply<decltype(chosen)::value>(load(in[0], T(1))));
            });
          };
        },
        std::make_integer_sequence<int, kUnaries>{});
    pieces<T, T>(walk(out, x), f, grain(op));
  });
}

void unary_backward(Unary op, const View& x, const View& y, const View& dy, const View& dx) {
  visit_floating(dx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Piece<T, T> f = nullptr;
    visit_unary(
        op,
        [&](auto chosen) {
          f = [](int64_t n, Out<T> to, const T* const* in) {
            vectors<T>(n, [&] [[gnu::always_inline]] (auto load, auto store) {
              store(to, load(in[2], T(0)) *
                            slope<decltype(chosen)::value>(load(in[0], T(1)), load(in[1], T(1))));
            });
          };
        },
        std::make_integer_sequence<int, kUnaries>{});
    pieces<T, T>(walk(dx, x, y, dy), f, grain(op));
  });
}

}  // namespace needle::NEEDLE_ISA
