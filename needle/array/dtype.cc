// Names of dtypes and the promotion rule.  (Lesson 02)
#include "needle/array/dtype.h"

#include <algorithm>
#include <ostream>

#include "needle/array/error.h"

namespace needle {

static constexpr std::string_view kDTypeNames[kDTypes] = {
    "bool", "int32", "int64", "float16", "bfloat16", "float32", "float64"};

std::string_view name_of(DType t) { return kDTypeNames[static_cast<int>(t)]; }

DType dtype_of(std::string_view name) {
  for (int i = 0; i < kDTypes; ++i) {
    if (kDTypeNames[i] == name) return static_cast<DType>(i);
  }
  std::string names;
  for (std::string_view known : kDTypeNames) names += str(names.empty() ? "" : ", ", known);
  throw ValueError(str("dtype: '", name, "' is none of ", names));
}

void refuse_half(const char* function, DType t, const char* way_out) {
  if (!is_half(t)) return;
  throw TypeError(
      str(function, ": ", t, " is a storage type, for copies and matmul alone; ", way_out));
}

std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

DType promote(DType a, DType b) {
  const auto [low, high] = std::minmax(a, b);
  const bool low_is_int = low == DType::int32 || low == DType::int64;
  // float32 cannot hold every int32, so NumPy moves on to float64.
  if (high == DType::float32 && low_is_int) return DType::float64;
  // Neither holds the other: one has too little range, the other too few digits.
  if (low == DType::float16 && high == DType::bfloat16) return DType::float32;
  return high;
}

}  // namespace needle
