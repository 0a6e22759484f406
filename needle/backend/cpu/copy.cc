// Moving elements: fill, copy with conversion, where.  (Lesson 04)
#include <type_traits>

#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

template <class To, class From>
[[gnu::always_inline]] inline To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Outside the range a C++ cast is undefined; x86 hardware answers with the lowest integer.
    constexpr From limit = sizeof(To) == 4 ? From(2147483648.0) : From(9223372036854775808.0);
    return x >= -limit && x < limit ? static_cast<To>(x) : static_cast<To>(limit > 0 ? -limit : 0);
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void copy_as(const View& x, const View& out) {
  walk(out, x).parallel_rows([](int64_t n, char* const* at, const int64_t* stride) {
    if constexpr (std::is_same_v<To, From>) {
      if (stride[0] == sizeof(To) && stride[1] == sizeof(From)) {
        std::memcpy(at[0], at[1], static_cast<size_t>(n) * sizeof(To));
        return;
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      *reinterpret_cast<To*>(at[0] + i * stride[0]) =
          convert<To>(*reinterpret_cast<const From*>(at[1] + i * stride[1]));
    }
  });
}

}  // namespace

void fill(Scalar value, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T x = is_floating(out.dtype) ? static_cast<T>(value.real) : static_cast<T>(value.integer);
    walk(out).parallel_rows([x](int64_t n, char* const* at, const int64_t* stride) {
      for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(at[0] + i * stride[0]) = x;
    });
  });
}

void copy(const View& x, const View& out) {
  visit_dtype(out.dtype, [&](auto to) {
    visit_dtype(x.dtype, [&](auto from) {
      copy_as<typename decltype(to)::type, typename decltype(from)::type>(x, out);
    });
  });
}

void where(const View& condition, const View& a, const View& b, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    walk(out, condition, a, b).parallel_rows([](int64_t n, char* const* at, const int64_t* stride) {
      for (int64_t i = 0; i < n; ++i) {
        const bool first = *reinterpret_cast<const bool*>(at[1] + i * stride[1]);
        const char* from = first ? at[2] + i * stride[2] : at[3] + i * stride[3];
        *reinterpret_cast<T*>(at[0] + i * stride[0]) = *reinterpret_cast<const T*>(from);
      }
    });
  });
}

}  // namespace needle::NEEDLE_ISA
