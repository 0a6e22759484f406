// Refusals, and the integer rule.  (Lesson 07)
#include "needle/serve/http/field.h"

#include "needle/serve/http/error.h"

namespace needle::serve::http {

void refuse(const std::string& field, const std::string& rule) {
  throw ApiError(400, str("'", field, "' must be ", rule, "."), field);
}

int64_t read_integer(const Json& value, const std::string& field, int64_t low, int64_t high) {
  const std::string rule = str("an integer from ", low, " to ", high);
  if (!value.is_number_integer()) refuse(field, rule);
  // 2^63 and above are stored as unsigned, and get<int64_t>() would wrap them around.
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) {
    refuse(field, rule);
  }
  const auto number = value.get<int64_t>();
  if (number < low || number > high) refuse(field, rule);
  return number;
}

}  // namespace needle::serve::http
