// Config: the sizes of a Llama-style decoder, as config.json spells them.  (Lesson 06)
#include "needle/transformer/config.h"

#include <climits>
#include <nlohmann/json.hpp>

#include "needle/text/json.h"

namespace needle::transformer {
namespace {

using text::Fields;
using text::Json;
using text::quote;

constexpr size_t kMaxFileBytes = size_t{1} << 20;

// Larger than any published model, small enough that products stay far from overflow.
constexpr int64_t kMaxVocabulary = 1 << 24;
constexpr int64_t kMaxHidden = 1 << 17;
constexpr int64_t kMaxIntermediate = 1 << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxPositions = 1 << 24;
constexpr double kMaxTheta = 1e12;

void check(const char* name, int64_t value, int64_t high) {
  if (value < 1 || value > high) {
    throw ValueError(str("'", name, "' is ", value, ", expected 1 to ", high));
  }
}

void check(const char* name, double value, double high) {
  if (!(value > 0 && value <= high)) {
    throw ValueError(str("'", name, "' is ", value, ", expected more than 0 and at most ", high));
  }
}

// A rope type other than the plain one stretches the positions; `type` is its name before 2024.
void check_rope(const Fields& rope) {
  const std::string type = rope.string("rope_type", rope.string("type", "default"));
  if (type != "default") {
    rope.fail("rope_type ", quote(type), " is not implemented, only 'default' is");
  }
  rope.number("partial_rotary_factor", 1, 1, 1);
}

double read_rope_theta(const Fields& file) {
  double theta = file.number("rope_theta", 10000.0, 0, kMaxTheta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const Json* value = file.find(key)) {
      const Fields rope(*value, file.name() + ": " + key);
      check_rope(rope);
      theta = rope.number("rope_theta", theta, 0, kMaxTheta);
    }
  }
  return theta;
}

void refuse_what_we_lack(const Fields& file) {
  const std::string type = file.string("model_type", "");
  if (type != "llama") {
    file.fail("model_type ", quote(type), " is not implemented, only 'llama' is");
  }
  if (const Json* list = file.find("architectures"); list && !list->empty()) {
    if (!list->is_array() || list->size() != 1 || list->front() != "LlamaForCausalLM") {
      file.fail("'architectures' must be [\"LlamaForCausalLM\"]");
    }
  }
  for (const char* key : {"attention_bias", "mlp_bias", "rope_interleaved"}) {
    if (file.boolean(key, false)) file.fail("'", key, "' is not implemented, it must be false");
  }
  if (file.find("quantization_config")) file.fail("quantised checkpoints are not implemented");
  file.number("partial_rotary_factor", 1, 1, 1);
}

// Hugging Face writes one id, a list of ids, or null.
std::vector<int> read_ids(const Fields& file, const char* key) {
  std::vector<int> ids;
  const Json* value = file.find(key);
  if (!value) return ids;
  const auto add = [&](const Json& id) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT_MAX) {
      file.fail("'", key, "' must be a token id or a list of them");
    }
    ids.push_back(id.get<int>());
  };
  if (value->is_array()) {
    for (const Json& id : *value) add(id);
  } else {
    add(*value);
  }
  return ids;
}

std::optional<int> read_bos(const Fields& file) {
  const std::vector<int> ids = read_ids(file, "bos_token_id");
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

Json ids_json(const std::vector<int>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids.front()) : Json(ids);
}

Json id_json(const std::optional<int>& id) { return id ? Json(*id) : Json(nullptr); }

}  // namespace

Config Config::from_json(std::string_view json, std::string_view name) {
  const Json root = text::parse_json(json, name, text::JsonLimits::of_file(json.size()));
  const Fields file(root, std::string(name));
  refuse_what_we_lack(file);

  Config config;
  const auto size = [&](const char* key, int64_t high) {
    file.required(key);
    return file.integer(key, 0, 1, high);
  };
  config.vocab_size = size("vocab_size", kMaxVocabulary);
  config.hidden_size = size("hidden_size", kMaxHidden);
  config.intermediate_size = size("intermediate_size", kMaxIntermediate);
  config.num_hidden_layers = size("num_hidden_layers", kMaxLayers);
  config.num_attention_heads = size("num_attention_heads", kMaxHeads);
  config.num_key_value_heads = file.integer("num_key_value_heads", 0, 1, kMaxHeads);
  config.head_dim = file.integer("head_dim", 0, 1, kMaxHeadDim);
  config.max_position_embeddings = file.integer("max_position_embeddings", 2048, 1, kMaxPositions);
  config.rope_theta = read_rope_theta(file);
  config.rms_norm_eps = file.number("rms_norm_eps", 1e-6, 0, 1);
  config.initializer_range = file.number("initializer_range", 0.02, 0, 1e3);
  config.tie_word_embeddings = file.boolean("tie_word_embeddings", false);
  config.hidden_act = file.string("hidden_act", "silu");
  config.bos_token_id = read_bos(file);
  config.eos_token_ids = read_ids(file, "eos_token_id");
  try {
    config.validate();
  } catch (const ValueError& error) {
    file.fail(error.what());
  }
  return config;
}

Config Config::load(const std::string& path) {
  return from_json(text::read_file(path, kMaxFileBytes), text::file_name(path));
}

void Config::validate() {
  check("vocab_size", vocab_size, kMaxVocabulary);
  check("hidden_size", hidden_size, kMaxHidden);
  check("intermediate_size", intermediate_size, kMaxIntermediate);
  check("num_hidden_layers", num_hidden_layers, kMaxLayers);
  check("num_attention_heads", num_attention_heads, kMaxHeads);
  if (num_key_value_heads == 0) num_key_value_heads = num_attention_heads;
  check("num_key_value_heads", num_key_value_heads, kMaxHeads);
  check("max_position_embeddings", max_position_embeddings, kMaxPositions);
  check("rope_theta", rope_theta, kMaxTheta);
  check("rms_norm_eps", rms_norm_eps, 1.0);
  check("initializer_range", initializer_range, 1e3);
  if (hidden_size % num_attention_heads != 0) {
    throw ValueError(str("hidden_size ", hidden_size, " is not a multiple of num_attention_heads ",
                         num_attention_heads));
  }
  if (num_attention_heads % num_key_value_heads != 0) {
    throw ValueError(str("num_attention_heads ", num_attention_heads,
                         " is not a multiple of num_key_value_heads ", num_key_value_heads));
  }
  if (head_dim == 0) head_dim = hidden_size / num_attention_heads;
  check("head_dim", head_dim, kMaxHeadDim);
  if (head_dim % 2 != 0) {
    throw ValueError(str("head_dim ", head_dim, " is odd; rotary embedding turns pairs"));
  }
  if (hidden_act != "silu") {
    throw ValueError(str("hidden_act ", quote(hidden_act), " is not implemented, only 'silu' is"));
  }
}

std::string Config::to_json() const {
  nlohmann::ordered_json json;
  json["architectures"] = {"LlamaForCausalLM"};
  json["model_type"] = "llama";
  json["vocab_size"] = vocab_size;
  json["hidden_size"] = hidden_size;
  json["intermediate_size"] = intermediate_size;
  json["num_hidden_layers"] = num_hidden_layers;
  json["num_attention_heads"] = num_attention_heads;
  json["num_key_value_heads"] = num_key_value_heads;
  json["head_dim"] = head_dim;
  json["max_position_embeddings"] = max_position_embeddings;
  json["hidden_act"] = hidden_act;
  json["initializer_range"] = initializer_range;
  json["rms_norm_eps"] = rms_norm_eps;
  json["rope_theta"] = rope_theta;  // where transformers 4 looks
  json["rope_parameters"] = {{"rope_theta", rope_theta}, {"rope_type", "default"}};  // and 5
  json["attention_bias"] = false;
  json["mlp_bias"] = false;
  json["tie_word_embeddings"] = tie_word_embeddings;
  json["bos_token_id"] = id_json(bos_token_id);
  json["eos_token_id"] = ids_json(eos_token_ids);
  json["torch_dtype"] = "float32";  // transformers 4
  json["dtype"] = "float32";        // transformers 5
  return json.dump(2) + "\n";
}

int64_t Config::num_parameters() const {
  const int64_t embedding = vocab_size * hidden_size;
  const int64_t attention =
      2 * hidden_size * head_dim * (num_attention_heads + num_key_value_heads);
  const int64_t mlp = 3 * hidden_size * intermediate_size;
  const int64_t norms = 2 * hidden_size;
  const int64_t layers = num_hidden_layers * (attention + mlp + norms);
  return embedding * (tie_word_embeddings ? 1 : 2) + layers + hidden_size;
}

GenerationConfig GenerationConfig::from_json(std::string_view json, std::string_view name) {
  const Json root = text::parse_json(json, name, text::JsonLimits::of_file(json.size()));
  const Fields file(root, std::string(name));
  return {read_bos(file), read_ids(file, "eos_token_id")};
}

GenerationConfig GenerationConfig::load(const std::string& path) {
  return from_json(text::read_file(path, kMaxFileBytes), text::file_name(path));
}

std::string GenerationConfig::to_json() const {
  nlohmann::ordered_json json;
  json["bos_token_id"] = id_json(bos_token_id);
  json["eos_token_id"] = ids_json(eos_token_ids);
  return json.dump(2) + "\n";
}

}  // namespace needle::transformer
