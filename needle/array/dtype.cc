// Names of dtypes and the promotion rule.  (Lesson 02)
#include "needle/array/dtype.h"

#include <algorithm>
#include <ostream>

#include "needle/array/error.h"

namespace needle {

static constexpr std::string_view kDTypeNames[kDTypes] = {"bool", "int32", "int64", "float32",
                                                          "float64"};

std::string_view name_of(DType t) { return kDTypeNames[static_cast<int>(t)]; }

DType dtype_of(std::string_view name) {
  for (int i = 0; i < kDTypes; ++i) {
    if (kDTypeNames[i] == name) return static_cast<DType>(i);
  }
  throw ValueError(str("dtype: '", name, "' is none of bool, int32, int64, float32, float64"));
}

std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

DType promote(DType a, DType b) {
  const auto [low, high] = std::minmax(a, b);
  const bool low_is_int = low == DType::int32 || low == DType::int64;
  // float32 cannot hold every int32, so NumPy moves on to float64.
  if (high == DType::float32 && low_is_int) return DType::float64;
  return high;
}

}  // namespace needle
