// Functions of two elements, comparisons, and the choice between two.  (Lessons 02 and 04)
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

/// Ints wrap around: computed without sign, where C++ defines it.
template <class T, bool = std::is_integral_v<T>>
struct Wrapping {
  using type = T;
};
template <class T>
struct Wrapping<T, true> {
  using type = std::make_unsigned_t<T>;
};

template <Binary op, class T>
struct Apply {
  __device__ T operator()(T a, T b) const {
    using U = typename Wrapping<T>::type;
    if constexpr (op == Binary::add) return static_cast<T>(U(a) + U(b));
    if constexpr (op == Binary::sub) return static_cast<T>(U(a) - U(b));
    if constexpr (op == Binary::mul) return static_cast<T>(U(a) * U(b));
    if constexpr (op == Binary::div) return a / b;
    if constexpr (op == Binary::pow) return std::pow(a, b);
    if constexpr (op == Binary::maximum) return a != a || a > b ? a : b;
    if constexpr (op == Binary::minimum) return a != a || a < b ? a : b;
  }
};

template <Compare op, class T>
struct Holds {
  __device__ bool operator()(T a, T b) const {
    if constexpr (op == Compare::equal) return a == b;
    if constexpr (op == Compare::not_equal) return a != b;
    if constexpr (op == Compare::less) return a < b;
    if constexpr (op == Compare::less_equal) return a <= b;
    if constexpr (op == Compare::greater) return a > b;
    if constexpr (op == Compare::greater_equal) return a >= b;
  }
};

template <class T>
struct Choose {
  __device__ T operator()(bool condition, T a, T b) const { return condition ? a : b; }
};

/// f(T) with an unsigned integer as wide as the elements of `t`: to move them is all that is asked.
template <class F>
void visit_size(DType t, F&& f) {
  switch (size_of(t)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

}  // namespace

void binary(Binary op, const View& a, const View& b, const View& out) {
  const auto w = walk(Order::memory, out, a, b);
  visit_op<kBinaries>(op, [&](auto constant) {
    constexpr Binary known = decltype(constant)::value;
    constexpr bool fractions = known == Binary::div || known == Binary::pow;
    visit_arithmetic(a.dtype, [&]<class T>(Tag<T>) {
      if constexpr (std::is_floating_point_v<T> || (!fractions && sizeof(T) > 1)) {
        map<T, T, T>(w, Apply<known, T>{});
      }
    });
  });
}

void compare(Compare op, const View& a, const View& b, const View& out) {
  const auto w = walk(Order::memory, out, a, b);
  visit_op<kCompares>(op, [&](auto constant) {
    visit_arithmetic(a.dtype, [&]<class T>(Tag<T>) {
      map<bool, T, T>(w, Holds<decltype(constant)::value, T>{});
    });
  });
}

void where(const View& condition, const View& a, const View& b, const View& out) {
  const auto w = walk(Order::memory, out, condition, a, b);
  visit_size(a.dtype, [&]<class T>(T) { map<T, bool, T, T>(w, Choose<T>{}); });
}

}  // namespace needle::NEEDLE_GPU
