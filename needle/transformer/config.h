// Config: the sizes of a Llama-style decoder, as config.json spells them.  (Lesson 06)
//
// Names are those of Hugging Face's LlamaConfig. What needle does not implement is refused with
// one sentence: a model that loads and computes something else is worse than one that does not
// load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace needle::transformer {

struct Config {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;  // 0: as many as attention heads
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings = 2048;
  double rope_theta = 10000.0;
  double rms_norm_eps = 1e-5;
  double initializer_range = 0.02;
  bool tie_word_embeddings = true;
  std::string hidden_act = "silu";
  std::optional<int> bos_token_id;
  std::vector<int> eos_token_ids;  // any of them ends a text

  /// Reads config.json as transformers 4 or 5 writes it. ValueError, starting with `name`, for
  /// ill-formed JSON, a value out of range, or a feature that needle lacks. A field that the file
  /// leaves out has LlamaConfig's default, except that there are no token ids then.
  static Config from_json(std::string_view json, std::string_view name = "config.json");
  /// RuntimeError if the file cannot be read; else as from_json.
  static Config load(const std::string& path);

  /// Text that transformers 4 and 5 read. Precondition: validate() passed.
  std::string to_json() const;

  /// Fills in the fields left at 0, then throws ValueError if a value is out of range or two do not
  /// fit together. The ranges leave every product of sizes within 64 bits; whether the weights
  /// exist is for the loader to compare (num_parameters).
  void validate();

  /// Elements of all weights; a tied head counts once. Precondition: validate() passed.
  int64_t num_parameters() const;

  bool operator==(const Config&) const = default;
};

/// What generation_config.json says about the ends of texts.
struct GenerationConfig {
  std::optional<int> bos_token_id;
  std::vector<int> eos_token_ids;

  static GenerationConfig from_json(std::string_view json,
                                    std::string_view name = "generation_config.json");
  static GenerationConfig load(const std::string& path);
  std::string to_json() const;

  bool operator==(const GenerationConfig&) const = default;
};

}  // namespace needle::transformer
