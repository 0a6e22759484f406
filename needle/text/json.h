// Checked JSON: the one reader for tokenizer.json, config.json and safetensors headers.  (Lesson
// 06)
//
// A file that somebody else wrote must not crash us or eat our memory: nesting and the number of
// values are capped, what may be long is handed over piece by piece, repeated keys are refused, and
// every error is one short sentence that names the file.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "needle/array/error.h"
#include "needle/text/file.h"

namespace needle::text {

using Json = nlohmann::json;

struct JsonLimits {
  size_t depth = 64;                // nested objects and arrays
  size_t values = size_t{1} << 26;  // kept at once
  size_t string = size_t{1} << 31;  // bytes of one string, quotes included, or of one number

  /// For a file of `bytes` bytes in which everything that may be long is streamed: reading it takes
  /// no block of memory larger than the file, or than 4 KiB.
  static JsonLimits of_file(size_t bytes);
};

/// A container whose values are handed over one by one, and not kept.
struct JsonStream {
  std::vector<std::string_view> path;  // keys from the root; none for the root itself
  Json::value_t kind;                  // object or array; a container of another kind is kept
  /// Called with each value as it is read; `key` is empty in an array. May throw.
  std::function<void(const std::string& key, const Json& value)> take;
};

/// The document in `text`; streamed containers are left empty in it. `name` starts every message,
/// usually the file's name. ValueError for ill-formed JSON, a repeated key in a container that is
/// kept, or more than `limits` allow.
Json parse_json(std::string_view text, std::string_view name, const JsonLimits& limits = {},
                const std::vector<JsonStream>& streams = {});

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
