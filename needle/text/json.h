// Checked JSON: the one reader for tokenizer.json, config.json and safetensors headers.  (Lesson
// 06)
//
// A file that somebody else wrote must not crash us or eat our memory: nesting and array length
// are capped, repeated keys are refused, and every error is one short sentence that names the file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "needle/array/error.h"

namespace needle::text {

using Json = nlohmann::json;

struct JsonLimits {
  size_t depth = 64;               // nested objects and arrays
  size_t array = size_t{1} << 26;  // elements of one array
};

/// The document in `text`. `name` starts every message, usually the file's name.
/// ValueError for ill-formed JSON, a repeated key, or more than `limits` allow.
Json parse_json(std::string_view text, std::string_view name, JsonLimits limits = {});

/// The bytes of a file. RuntimeError if it cannot be read or has more than `max_bytes`.
std::string read_file(const std::string& path, size_t max_bytes);

/// Writes (or replaces) a file. RuntimeError naming the path if that fails.
void write_file(const std::string& path, std::string_view bytes);

/// The last part of a path: what messages call a file.
std::string file_name(const std::string& path);

/// A string from a file, fit for a message: in quotes, one line, at most 40 bytes of it.
std::string quote(std::string_view text);

/// Looks up fields of one JSON object and says which file and which field is wrong.
/// The object must outlive the reader.
class Fields {
 public:
  /// ValueError unless `object` is an object. `name` starts every message.
  Fields(const Json& object, std::string name);

  /// The field's value, or null if it is absent or null.
  const Json* find(const char* key) const;
  /// The getters below return `fallback` where the field is absent or null, and throw ValueError
  /// where its type or range is wrong. Bounds are inclusive.
  int64_t integer(const char* key, int64_t fallback, int64_t low, int64_t high) const;
  double number(const char* key, double fallback, double low, double high) const;
  bool boolean(const char* key, bool fallback) const;
  std::string string(const char* key, const std::string& fallback) const;
  /// ValueError unless the field is present.
  const Json& required(const char* key) const;

  const std::string& name() const { return name_; }
  /// Throws ValueError "<name>: <parts...>".
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw ValueError(str(name_, ": ", parts...));
  }

 private:
  const Json& object_;
  std::string name_;
};

}  // namespace needle::text
