// Functions of two arguments, and comparisons.  (Lesson 04)
#include <cmath>
#include <type_traits>

#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr int64_t kFew = 1024;

/// Signed overflow is undefined in C++; NumPy wraps around. So do we, by way of unsigned.
template <class T>
[[gnu::always_inline]] inline T wrap(auto op, T a, T b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(op(static_cast<U>(a), static_cast<U>(b)));
}

template <Binary op, class V>
[[gnu::always_inline]] inline V apply(V a, V b) {
  if constexpr (op == Binary::add) return a + b;
  if constexpr (op == Binary::sub) return a - b;
  if constexpr (op == Binary::mul) return a * b;
  if constexpr (op == Binary::div) return a / b;
  // A NaN in a is chosen by !(a == a); if b is NaN no comparison holds and b it is. (xsimd 8.1's
  // a != a is false for NaN with AVX.)
  if constexpr (op == Binary::maximum) return xsimd::select((a > b) | !(a == a), a, b);
  if constexpr (op == Binary::minimum) return xsimd::select((a < b) | !(a == a), a, b);
}

/// Rows of one operand with the same number of the other, which then stays in a register. Returns
/// false if these are not of that form.
template <Binary op, class T>
bool with_number(const Walk<3>& w) {
  constexpr int64_t item = sizeof(T);
  const int last = w.ndim - 1;
  const int64_t a = w.stride[1][last], b = w.stride[2][last];
  const bool rows = w.stride[0][last] == item && a + b == item && a * b == 0;
  if (!rows) return false;
  const bool past = past_caches(w.size * item);
  const auto row = [past](int64_t n, char* const* at, const int64_t* stride) {
    const Out<T> y = out_at(reinterpret_cast<T*>(at[0]), past);
    const T *p = reinterpret_cast<const T*>(at[1]), *q = reinterpret_cast<const T*>(at[2]);
    if (stride[1] == 0) {
      const Vec<T> same(*p);
      vectors<T>(n, [&](auto load, auto store) { store(y, apply<op>(same, load(q, T(1)))); });
    } else {
      const Vec<T> same(*q);
      vectors<T>(n, [&](auto load, auto store) { store(y, apply<op>(load(p, T(1)), same)); });
    }
  };
  w.parallel_rows(row);
  return true;
}

template <Binary op, class T>
void binary_as(const View& a, const View& b, const View& out) {
  const Piece<T, T> piece = [](int64_t n, Out<T> y, const T* const* in) {
    if constexpr (op == Binary::pow) {
      for (int64_t i = 0; i < n; ++i) y[i] = std::pow(in[0][i], in[1][i]);
    } else if constexpr (std::is_floating_point_v<T>) {
      vectors<T>(n, [&] [[gnu::always_inline]] (auto load, auto store) {
        store(y, apply<op>(load(in[0], T(1)), load(in[1], T(1))));
      });
    } else {
      for (int64_t i = 0; i < n; ++i) {
        const T p = in[0][i];
        const T q = in[1][i];
        if constexpr (op == Binary::add) y[i] = wrap<T>([](auto s, auto t) { return s + t; }, p, q);
        if constexpr (op == Binary::sub) y[i] = wrap<T>([](auto s, auto t) { return s - t; }, p, q);
        if constexpr (op == Binary::mul) y[i] = wrap<T>([](auto s, auto t) { return s * t; }, p, q);
        if constexpr (op == Binary::maximum) y[i] = p > q ? p : q;
        if constexpr (op == Binary::minimum) y[i] = p < q ? p : q;
      }
    }
  };
  // For few elements it takes longer to plan the walk than to walk.
  if (out.size() <= kFew && a.is_contiguous() && b.is_contiguous() && out.is_contiguous()) {
    const T* const in[] = {a.as<T>(), b.as<T>()};
    return piece(out.size(), {out.as<T>()}, in);
  }
  const auto w = walk(out, a, b);
  if constexpr (std::is_floating_point_v<T> && op != Binary::pow) {
    if (with_number<op, T>(w)) return;
  }
  pieces<T, T>(w, piece);
}

template <class T>
void binary_typed(Binary op, const View& a, const View& b, const View& out) {
  switch (op) {
    case Binary::add: return binary_as<Binary::add, T>(a, b, out);
    case Binary::sub: return binary_as<Binary::sub, T>(a, b, out);
    case Binary::mul: return binary_as<Binary::mul, T>(a, b, out);
    case Binary::maximum: return binary_as<Binary::maximum, T>(a, b, out);
    case Binary::minimum: return binary_as<Binary::minimum, T>(a, b, out);
    case Binary::div:
      if constexpr (std::is_floating_point_v<T>) binary_as<Binary::div, T>(a, b, out);
      return;
    case Binary::pow:
      if constexpr (std::is_floating_point_v<T>) binary_as<Binary::pow, T>(a, b, out);
      return;
  }
}

template <Compare op, class T>
void compare_as(const View& a, const View& b, const View& out) {
  pieces<bool, T>(walk(out, a, b), [](int64_t n, Out<bool> y, const T* const* in) {
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (op == Compare::equal) y[i] = in[0][i] == in[1][i];
      if constexpr (op == Compare::not_equal) y[i] = in[0][i] != in[1][i];
      if constexpr (op == Compare::less) y[i] = in[0][i] < in[1][i];
      if constexpr (op == Compare::less_equal) y[i] = in[0][i] <= in[1][i];
    }
  });
}

}  // namespace

void binary(Binary op, const View& a, const View& b, const View& out) {
  switch (out.dtype) {
    case DType::int32: return binary_typed<int32_t>(op, a, b, out);
    case DType::int64: return binary_typed<int64_t>(op, a, b, out);
    case DType::float32: return binary_typed<float>(op, a, b, out);
    default: return binary_typed<double>(op, a, b, out);
  }
}

void compare(Compare op, const View& a, const View& b, const View& out) {
  visit_arithmetic(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    switch (op) {
      case Compare::equal: return compare_as<Compare::equal, T>(a, b, out);
      case Compare::not_equal: return compare_as<Compare::not_equal, T>(a, b, out);
      case Compare::less: return compare_as<Compare::less, T>(a, b, out);
      case Compare::less_equal: return compare_as<Compare::less_equal, T>(a, b, out);
      case Compare::greater: return compare_as<Compare::less, T>(b, a, out);
      case Compare::greater_equal: return compare_as<Compare::less_equal, T>(b, a, out);
    }
  });
}

}  // namespace needle::NEEDLE_ISA
