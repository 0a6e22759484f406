// Checked JSON: the one reader for tokenizer.json, config.json and safetensors headers.  (Lesson
// 06)
#include "needle/text/json.h"

#include <algorithm>
#include <utility>

namespace needle::text {
namespace {

// Receives the parser's events and builds the document. Invariant: open_ holds the containers that
// are not closed, outermost first; a pointer stays valid because a container grows only while it is
// the innermost.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view name, const JsonLimits& limits, const std::vector<JsonStream>& streams)
      : name_(name), limits_(limits), streams_(streams) {}
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
    key_ = key;
    if (open_.back().stream) return true;
    const auto [entry, is_new] =
        open_.back().container->get_ref<Json::object_t&>().try_emplace(key);
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
  struct Open {
    Json* container;
    std::string key;           // in the container around it
    const JsonStream* stream;  // where its values go; null if they are kept
    size_t values;             // kept when it was opened
  };

  template <class T>
  bool add(T&& value) {
    place(Json(std::forward<T>(value)));
    return hand_over();
  }

  Json* place(Json value) {
    if (++values_ > limits_.values) {
      throw ValueError(
          str(name_, ": more than ", limits_.values, " values where few are expected"));
    }
    if (open_.empty()) return &(root_ = std::move(value));
    const Open& around = open_.back();
    if (around.stream) {
      streamed_key_ = key_;
      return &(streamed_ = std::move(value));
    }
    if (around.container->is_object()) return &(*slot_ = std::move(value));
    auto& array = around.container->get_ref<Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }

  // To be called after each complete value.
  bool hand_over() {
    if (open_.empty() || !open_.back().stream) return true;
    open_.back().stream->take(streamed_key_, streamed_);
    values_ = open_.back().values;
    return true;
  }

  bool open(Json container) {
    if (open_.size() >= limits_.depth) {
      throw ValueError(str(name_, ": JSON nested deeper than ", limits_.depth, " levels"));
    }
    Json* placed = place(std::move(container));
    open_.push_back({placed, std::exchange(key_, ""), nullptr, values_});
    for (const JsonStream& stream : streams_) {
      if (stream.kind == placed->type() && is_at(stream.path)) open_.back().stream = &stream;
    }
    return true;
  }

  bool is_at(const std::vector<std::string_view>& path) const {
    return path.size() + 1 == open_.size() &&
           std::equal(path.begin(), path.end(), open_.begin() + 1,
                      [](std::string_view key, const Open& open) { return key == open.key; });
  }

  bool close() {
    open_.pop_back();
    key_.clear();
    return hand_over();
  }

  std::string_view name_;
  JsonLimits limits_;
  const std::vector<JsonStream>& streams_;
  Json root_;
  std::vector<Open> open_;
  std::string key_;       // the last key in the innermost container; empty in an array
  Json* slot_ = nullptr;  // the value of that key, in a container that is kept
  size_t values_ = 0;     // kept so far
  Json streamed_;         // the value in the making that will be handed over, and its key
  std::string streamed_key_;
};

// The parser collects a string or a number in a buffer that grows by doubling, and quotes it in the
// message that it makes of an error, so we look at their lengths first.
void check_lengths(std::string_view text, std::string_view name, size_t longest) {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin + 1;
    if (text[begin] == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      ++end;
    } else {
      end = std::max(end, std::min(text.find_first_of("\",:[]{} \t\r\n", begin), text.size()));
    }
    if (end - begin > longest) {
      throw ValueError(str(name, ": a string or number of more than ", longest, " bytes"));
    }
    begin = end;
  }
}

}  // namespace

JsonLimits JsonLimits::of_file(size_t bytes) {
  // A growing list takes twice 16 bytes a value; a string twice its length, and as much again in
  // the message that says what is wrong with it.
  return {.values = std::max<size_t>(128, bytes / 32), .string = std::max<size_t>(1024, bytes / 4)};
}

Json parse_json(std::string_view text, std::string_view name, const JsonLimits& limits,
                const std::vector<JsonStream>& streams) {
  check_lengths(text, name, limits.string);
  Builder builder(name, limits, streams);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.result();
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
