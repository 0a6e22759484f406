// Checked fields of a request body: one table entry per field, one way to refuse.  (Lesson 07)
//
// Every entry reads one member of the body into a place of the request. Absent and null mean the
// default. The table's order is the order of the checks; the first fault answers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "needle/text/json.h"

namespace needle::serve::http {

using text::Json;

/// Throws the 400 ApiError of a bad field: "<field> must be <rule>."
[[noreturn]] void refuse(const std::string& field, const std::string& rule);

/// A JSON integer literal in [low, high]: no boolean, no string, no 3.0.
int64_t read_integer(const Json& value, const std::string& field, int64_t low, int64_t high);

/// One line of a table over requests of type T.
template <class T>
struct Field {
  std::string name;
  /// Reads the value, which is not null. `body` is there for rules that look at other fields.
  std::function<void(const Json& value, const Json& body, T& request)> read;
  bool required = false;
};

/// Reads all fields of `table` that `body` has. ApiError for the first bad or missing one.
template <class T>
void read_fields(const std::vector<Field<T>>& table, const Json& body, T& request) {
  for (const Field<T>& field : table) {
    const auto found = body.find(field.name);
    if (found != body.end() && !found->is_null()) {
      field.read(*found, body, request);
    } else if (field.required) {
      refuse(field.name, "given; it is missing");
    }
  }
}

/// An integer in [low, high], stored by `set(request, value)`.
template <class T, class Set>
Field<T> integer_field(std::string name, int64_t low, int64_t high, Set set) {
  auto read = [=](const Json& value, const Json&, T& request) {
    set(request, read_integer(value, name, low, high));
  };
  return {name, read};
}

/// A finite number in [low, high], or (low, high] if `open`.
template <class T, class Set>
Field<T> number_field(std::string name, double low, double high, Set set, bool open = false) {
  auto read = [=](const Json& value, const Json&, T& request) {
    const double number = value.is_number() ? value.get<double>() : low - 1;
    // The negated form refuses NaN as well.
    if (!(number >= low && number <= high) || (open && number == low)) {
      refuse(name,
             str("a number ", open ? "above " : "from ", low, open ? " and up to " : " to ", high));
    }
    set(request, number);
  };
  return {name, read};
}

template <class T, class Set>
Field<T> boolean_field(std::string name, Set set) {
  auto read = [=](const Json& value, const Json&, T& request) {
    if (!value.is_boolean()) refuse(name, "true or false");
    set(request, value.get<bool>());
  };
  return {name, read};
}

/// A field of the API that needle does not implement: refused unless `harmless(value, body)`.
template <class T>
Field<T> unsupported_field(
    std::string name, const std::function<bool(const Json&, const Json&)>& harmless = nullptr) {
  auto read = [=](const Json& value, const Json& body, T&) {
    if (!harmless || !harmless(value, body)) refuse(name, "left out; it is not supported");
  };
  return {name, read};
}

}  // namespace needle::serve::http
