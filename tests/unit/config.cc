// config.json and generation_config.json: what is read, written and refused.  (Lesson 06)
#include "needle/transformer/config.h"

#include <doctest/doctest.h>

#include "needle/array/error.h"
#include "needle/text/json.h"

using namespace needle;
using needle::text::Json;
using needle::transformer::Config;
using needle::transformer::GenerationConfig;

namespace {

// As transformers 5.23 writes LlamaConfig(vocab_size=1024, hidden_size=64, ...).to_json_string().
constexpr const char* kVersion5 = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
  "bos_token_id": 1, "dtype": "float32", "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu",
  "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 128,
  "max_position_embeddings": 512, "mlp_bias": false, "model_type": "llama",
  "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "pad_token_id": null,
  "pretraining_tp": 1, "rms_norm_eps": 1e-06,
  "rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"},
  "tie_word_embeddings": true, "transformers_version": "5.23.0", "use_cache": true,
  "vocab_size": 1024
})";

// As transformers 4 wrote SmolLM-135M.
constexpr const char* kVersion4 = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
  "bos_token_id": 0, "eos_token_id": [0, 7], "hidden_act": "silu", "hidden_size": 576,
  "initializer_range": 0.02, "intermediate_size": 1536, "max_position_embeddings": 2048,
  "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30,
  "num_key_value_heads": 3, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
  "rope_theta": 10000.0, "tie_word_embeddings": true, "torch_dtype": "float32",
  "transformers_version": "4.42.3", "use_cache": true, "vocab_size": 49152
})";

Json version5() { return text::parse_json(kVersion5, "test"); }

// Checks that version 5's file with `key` set to `value` (given as JSON) is refused for that
// reason.
void refuses(const char* key, const char* value, const char* why) {
  Json json = version5();
  json[key] = text::parse_json(value, "test");
  CAPTURE(key);
  CHECK_THROWS_WITH_AS(Config::from_json(json.dump()), doctest::Contains(why), ValueError);
}

}  // namespace

TEST_SUITE_BEGIN("config");
TEST_CASE("the spelling of transformers 5") {
  const Config config = Config::from_json(kVersion5);
  CHECK(config.vocab_size == 1024);
  CHECK(config.head_dim == 16);
  CHECK(config.num_key_value_heads == 2);
  CHECK(config.rope_theta == 50000.0);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK(config.tie_word_embeddings);
  CHECK(config.bos_token_id == 1);
  CHECK(config.eos_token_ids == std::vector{2});
}

TEST_CASE("the spelling of transformers 4") {
  const Config config = Config::from_json(kVersion4);
  CHECK(config.head_dim == 64);
  CHECK(config.eos_token_ids == std::vector{0, 7});
  CHECK(config.num_parameters() == 134515008);  // as published for SmolLM-135M
}

TEST_CASE("what is left out has LlamaConfig's defaults") {
  const Config config = Config::from_json(
      R"({"model_type": "llama", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2})");
  CHECK(config.num_key_value_heads == 2);
  CHECK(config.head_dim == 4);
  CHECK(config.max_position_embeddings == 2048);
  CHECK(config.rope_theta == 10000.0);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK_FALSE(config.bos_token_id.has_value());
  CHECK(config.eos_token_ids.empty());
  CHECK(config.num_parameters() == 2 * 64 + (4 * 64 + 3 * 64 + 16) + 8);
}

TEST_CASE("to_json comes back the same") {
  for (const char* text : {kVersion4, kVersion5}) {
    const Config config = Config::from_json(text);
    CHECK(Config::from_json(config.to_json()) == config);
  }
  const Json json = text::parse_json(Config::from_json(kVersion5).to_json(), "test");
  CHECK(json["rope_theta"] == 50000.0);
  CHECK(json["rope_parameters"]["rope_theta"] == 50000.0);
  CHECK(json["eos_token_id"] == 2);
}

TEST_CASE("what needle lacks is refused") {
  refuses("model_type", R"("mistral")", "model_type 'mistral' is not implemented");
  refuses("architectures", R"(["LlamaForSequenceClassification"])", "architectures");
  refuses("attention_bias", "true", "'attention_bias' is not implemented");
  refuses("mlp_bias", "true", "'mlp_bias' is not implemented");
  refuses("hidden_act", R"("gelu")", "hidden_act 'gelu' is not implemented");
  refuses("rope_scaling", R"({"type": "linear", "factor": 2.0})", "rope_type 'linear'");
  refuses("rope_parameters", R"({"rope_type": "llama3", "rope_theta": 5e5})", "rope_type 'llama3'");
  refuses("quantization_config", R"({"bits": 4})", "quantised");
}

TEST_CASE("values out of range are refused") {
  refuses("vocab_size", "0", "'vocab_size' is 0, expected 1 to");
  refuses("vocab_size", "1e3", "must be a whole number");
  refuses("vocab_size", "18446744073709551615", "'vocab_size' is 18446744073709551615");
  refuses("hidden_size", "\"64\"", "must be a whole number, got string");
  refuses("hidden_size", "null", "'hidden_size' is missing");
  refuses("hidden_size", "62", "hidden_size 62 is not a multiple");
  refuses("num_key_value_heads", "3", "is not a multiple of num_key_value_heads 3");
  refuses("head_dim", "15", "is odd");
  refuses("num_hidden_layers", "100000", "expected 1 to 1024");
  refuses("rms_norm_eps", "-1", "'rms_norm_eps'");
  refuses("rms_norm_eps", "0", "'rms_norm_eps'");
  refuses("rope_parameters", R"({"rope_theta": 0})", "'rope_theta' is 0");
  refuses("rope_parameters", "3", "rope_parameters: expected an object");
  refuses("eos_token_id", "-1", "token id");
  refuses("eos_token_id", "[1, \"x\"]", "token id");
  refuses("tie_word_embeddings", "1", "must be true or false");
}

TEST_CASE("the largest config that passes does not overflow") {
  Config config;
  config.vocab_size = 1 << 24;
  config.hidden_size = 1 << 17;
  config.intermediate_size = 1 << 20;
  config.num_hidden_layers = 1024;
  config.num_attention_heads = 1024;
  config.head_dim = 1024;
  config.tie_word_embeddings = false;
  config.validate();
  const auto n = static_cast<double>(config.num_parameters());
  const double h = 1 << 17, layers = 1024 * (4 * h * h * 8 + 3 * h * (1 << 20) + 2 * h);
  CHECK(n == doctest::Approx(2 * h * (1 << 24) + layers + h).epsilon(1e-12));
}

TEST_CASE("generation_config.json") {
  const GenerationConfig two = GenerationConfig::from_json(R"({"eos_token_id": [1, 2]})");
  CHECK(two.eos_token_ids == std::vector{1, 2});
  CHECK_FALSE(two.bos_token_id.has_value());
  CHECK(GenerationConfig::from_json(two.to_json()) == two);
  CHECK(GenerationConfig::from_json("{}").eos_token_ids.empty());
  CHECK_THROWS_AS(GenerationConfig::from_json("[]"), ValueError);
  CHECK_THROWS_AS(Config::load("/nonexistent/config.json"), RuntimeError);
}
TEST_SUITE_END();
