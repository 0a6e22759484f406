// Checkpoints: a folder in the Hugging Face layout.  (Lesson 06)
#pragma once

#include <memory>
#include <string>

#include "needle/transformer/decoder.h"

namespace needle::transformer {

/// Writes config.json, generation_config.json and model.safetensors into an existing folder.
/// RuntimeError naming the file if it cannot be written.
void save_pretrained(Decoder& model, const std::string& folder);

/// The model in a folder. ValueError or RuntimeError in one sentence naming the file and what is
/// wrong with it; nothing is allocated before the file's size has been compared with the config.
std::unique_ptr<Decoder> load_pretrained(const std::string& folder);

}  // namespace needle::transformer
