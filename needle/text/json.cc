// Checked JSON: the one reader for tokenizer.json, config.json and safetensors headers.  (Lesson
// 06)
#include "needle/text/json.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace needle::text {
namespace {

// Receives the parser's events and builds the document. Invariant: stack_ holds the open
// containers, outermost first; a pointer stays valid because a container grows only while it is the
// innermost.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view name, JsonLimits limits) : name_(name), limits_(limits) {}
  Json result() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // never sent for text

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& key) override {
    const auto [entry, is_new] = stack_.back()->get_ref<Json::object_t&>().try_emplace(key);
    if (!is_new) throw ValueError(str(name_, ": the key ", quote(key), " appears twice"));
    slot_ = &entry->second;
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const Json::exception& error) override {
    constexpr int kNumberOverflow = 406;
    const char* what = error.id == kNumberOverflow ? "number out of range" : "not valid JSON";
    throw ValueError(str(name_, ": ", what, " at byte ", byte));
  }

 private:
  template <class T>
  bool add(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }

  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (stack_.back()->is_object()) {
      *slot_ = std::move(value);
      return slot_;
    }
    auto& array = stack_.back()->get_ref<Json::array_t&>();
    if (array.size() >= limits_.array) {
      throw ValueError(str(name_, ": an array has more than ", limits_.array, " elements"));
    }
    array.push_back(std::move(value));
    return &array.back();
  }

  bool open(Json container) {
    if (stack_.size() >= limits_.depth) {
      throw ValueError(str(name_, ": JSON nested deeper than ", limits_.depth, " levels"));
    }
    stack_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  std::string_view name_;
  JsonLimits limits_;
  Json root_;
  std::vector<Json*> stack_;
  Json* slot_ = nullptr;  // the value of the last key
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

Json parse_json(std::string_view text, std::string_view name, JsonLimits limits) {
  Builder builder(name, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.result();
}

std::string read_file(const std::string& path, size_t max_bytes) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw RuntimeError(str("cannot open ", path, ": ", std::strerror(errno)));
  std::string bytes;
  char block[1 << 16];
  while (const size_t n = std::fread(block, 1, sizeof block, file.get())) {
    bytes.append(block, n);
    if (bytes.size() > max_bytes) {
      throw RuntimeError(str(path, " has more than ", max_bytes, " bytes, the limit for its kind"));
    }
  }
  if (std::ferror(file.get())) {
    throw RuntimeError(str("cannot read ", path, ": ", std::strerror(errno)));
  }
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) throw RuntimeError(str("cannot create ", path, ": ", std::strerror(errno)));
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  if (std::fclose(file.release()) != 0 || !written) {
    throw RuntimeError(str("cannot write ", path, ": ", std::strerror(errno)));
  }
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string quote(std::string_view text) {
  constexpr size_t kMax = 40;
  std::string out = "'";
  for (const unsigned char c : text.substr(0, kMax)) {
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", c);
      out += escape;
    }
  }
  return out + (text.size() > kMax ? "...'" : "'");
}

Fields::Fields(const Json& object, std::string name) : object_(object), name_(std::move(name)) {
  if (!object.is_object()) fail("expected an object, got ", object.type_name());
}

const Json* Fields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& Fields::required(const char* key) const {
  const Json* value = find(key);
  if (!value) fail("the field '", key, "' is missing");
  return *value;
}

int64_t Fields::integer(const char* key, int64_t fallback, int64_t low, int64_t high) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number_integer()) {
    fail("'", key, "' must be a whole number, got ", value->type_name());
  }
  const bool too_big = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  const int64_t number = too_big ? INT64_MAX : value->get<int64_t>();
  if (too_big || number < low || number > high) {
    fail("'", key, "' is ", value->dump(), ", expected ", low, " to ", high);
  }
  return number;
}

double Fields::number(const char* key, double fallback, double low, double high) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number()) fail("'", key, "' must be a number, got ", value->type_name());
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    fail("'", key, "' is ", number, ", expected ", low, " to ", high);
  }
  return number;
}

bool Fields::boolean(const char* key, bool fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) fail("'", key, "' must be true or false, got ", value->type_name());
  return value->get<bool>();
}

std::string Fields::string(const char* key, const std::string& fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_string()) fail("'", key, "' must be a string, got ", value->type_name());
  return value->get<std::string>();
}

}  // namespace needle::text
