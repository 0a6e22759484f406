// Checkpoints.  (Lesson 06)
#include "needle/transformer/checkpoint.h"

#include <filesystem>
#include <fstream>

#include "needle/backend/registry.h"
#include "needle/transformer/safetensors.h"

namespace needle::transformer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kGeneration = "generation_config.json";
constexpr const char* kWeights = "model.safetensors";

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw RuntimeError(str(path.string(), ": cannot be written"));
}

/// Arrays that some writers add although the model has them already.
bool is_redundant(const std::string& name, const Config& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (config.tie_word_embeddings && name == "lm_head.weight");
}

}  // namespace

void save_pretrained(Decoder& model, const std::string& folder) {
  const fs::path path(folder);
  NamedArrays arrays;
  for (const auto& [name, tensor] : model.state_dict()) {
    arrays[name] = to_device(tensor.value(), Device{});
  }
  const Config& config = model.config();
  write_text(path / kConfig, config.to_json());
  write_text(path / kGeneration,
             GenerationConfig{config.bos_token_id, config.eos_token_ids}.to_json());
  save_safetensors((path / kWeights).string(), arrays, {{"format", "pt"}}, /*sync=*/true);
}

std::unique_ptr<Decoder> load_pretrained(const std::string& folder) {
  const fs::path path(folder);
  if (!fs::is_directory(path)) throw RuntimeError(str(folder, ": not a folder with a model"));
  const std::string weights = (path / kWeights).string();
  const Config config = Config::load((path / kConfig).string());
  const SafetensorsFile file(weights);

  // Before anything is allocated: does the file hold as many numbers as the config asks for?
  int64_t elements = 0;
  for (const auto& [name, info] : file.arrays()) {
    if (!is_redundant(name, config)) elements += info.shape.size();
  }
  if (elements != config.num_parameters()) {
    throw ValueError(str(weights, ": holds ", elements, " numbers, but ", kConfig,
                         " describes a model of ", config.num_parameters()));
  }
  auto model = std::make_unique<Decoder>(config);
  std::map<std::string, NDArray> state;
  for (const auto& [name, info] : file.arrays()) {
    if (!is_redundant(name, config)) state[name] = file.read(name);
  }
  try {
    model->load_state_dict(state);
  } catch (const ValueError& error) {
    throw ValueError(str(weights, ": ", error.what()));
  }
  return model;
}

}  // namespace needle::transformer
