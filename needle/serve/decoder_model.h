// transformer::Decoder as the engine's Model, and a checkpoint folder as a LoadedModel. (Lesson 07)
#pragma once

#include <string>

#include "needle/serve/loaded_model.h"
#include "needle/transformer/decoder.h"

namespace needle::serve {

/// A Model over a decoder, of its first `vocab_size` tokens: models are often padded to more than
/// their tokenizer has. `end_tokens` end a text. KV caches grow in steps up to the context.
std::unique_ptr<Model> make_model(std::unique_ptr<transformer::Decoder> decoder, int vocab_size,
                                  std::vector<int> end_tokens);

/// Loads config.json, generation_config.json (optional), model.safetensors, tokenizer.json and
/// tokenizer_config.json (optional). ValueError or RuntimeError in one sentence naming the file.
LoadedModel load_model(const std::string& folder);

}  // namespace needle::serve
