// DType: what one element of an array is.  (Lesson 02)
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>

namespace needle {

enum class DType : uint8_t { bool_, int32, int64, float32, float64 };

inline constexpr int kDTypes = 5;

constexpr int64_t size_of(DType t) {
  constexpr int64_t sizes[kDTypes] = {1, 4, 8, 4, 8};
  return sizes[static_cast<int>(t)];
}

constexpr bool is_floating(DType t) { return t == DType::float32 || t == DType::float64; }

/// "float32", "int64", "bool", ...
std::string_view name_of(DType t);
/// The inverse of name_of. ValueError for an unknown name.
DType dtype_of(std::string_view name);
std::ostream& operator<<(std::ostream& out, DType t);

/// The dtype of a binary operation between arrays of types a and b, by NumPy 2's rules:
/// bool < int32 < int64 < float32 < float64, except that int32 or int64 with float32 is float64.
DType promote(DType a, DType b);

/// Element type -> DType.
template <class T>
constexpr DType dtype_for() {
  if constexpr (std::is_same_v<T, bool>) return DType::bool_;
  if constexpr (std::is_same_v<T, int32_t>) return DType::int32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::int64;
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
    case DType::float32: return f(Tag<float>{});
    default: return f(Tag<double>{});
  }
}

}  // namespace needle
