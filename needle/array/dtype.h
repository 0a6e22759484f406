// DType: what one element of an array is.  (Lesson 02)
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>

#include "needle/array/half.h"

namespace needle {

enum class DType : uint8_t { bool_, int32, int64, float16, bfloat16, float32, float64 };

inline constexpr int kDTypes = 7;

constexpr int64_t size_of(DType t) {
  constexpr int64_t sizes[kDTypes] = {1, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(t)];
}

/// Has fractions, infinities and NaN, and may have a gradient.
constexpr bool is_floating(DType t) { return t >= DType::float16; }
/// Two bytes: for storage, copies and matmul. Whoever computes with it converts to float32 first.
constexpr bool is_half(DType t) { return t == DType::float16 || t == DType::bfloat16; }
/// TypeError, naming `function` and the way out, if t is half.
void refuse_half(const char* function, DType t,
                 const char* way_out = "compute with x.astype(ndl.float32)");

/// "float32", "int64", "bool", ...
std::string_view name_of(DType t);
/// The inverse of name_of. ValueError for an unknown name.
DType dtype_of(std::string_view name);
std::ostream& operator<<(std::ostream& out, DType t);

/// The dtype of a binary operation between arrays of types a and b, by NumPy 2's rules:
/// bool < int32 < int64 < float16 < float32 < float64, except that int32 or int64 with float32 is
/// float64. What NumPy lacks is as in PyTorch: bfloat16 < float32, bfloat16 with float16 is float32,
/// and an int with either of them is that one (NumPy: float64 for float16), lest an index or a count
/// make an array of two bytes one of eight.
DType promote(DType a, DType b);

/// Element type -> DType.
template <class T>
constexpr DType dtype_for() {
  if constexpr (std::is_same_v<T, bool>) return DType::bool_;
  if constexpr (std::is_same_v<T, int32_t>) return DType::int32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::int64;
  if constexpr (std::is_same_v<T, float16>) return DType::float16;
  if constexpr (std::is_same_v<T, bfloat16>) return DType::bfloat16;
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  if constexpr (std::is_same_v<T, double>) return DType::float64;
}

template <class T>
struct Tag {
  using type = T;
};

/// DType -> element type: calls f(Tag<T>{}) with the T that `t` stands for.
template <class F>
[[gnu::always_inline]] inline decltype(auto) visit_dtype(DType t, F&& f) {
  switch (t) {
    case DType::bool_: return f(Tag<bool>{});
    case DType::int32: return f(Tag<int32_t>{});
    case DType::int64: return f(Tag<int64_t>{});
    case DType::float16: return f(Tag<float16>{});
    case DType::bfloat16: return f(Tag<bfloat16>{});
    case DType::float32: return f(Tag<float>{});
    default: return f(Tag<double>{});
  }
}

/// The same for a `t` that is not half: those types have no arithmetic.
template <class F>
[[gnu::always_inline]] inline decltype(auto) visit_arithmetic(DType t, F&& f) {
  switch (t) {
    case DType::bool_: return f(Tag<bool>{});
    case DType::int32: return f(Tag<int32_t>{});
    case DType::int64: return f(Tag<int64_t>{});
    case DType::float32: return f(Tag<float>{});
    default: return f(Tag<double>{});
  }
}

}  // namespace needle
