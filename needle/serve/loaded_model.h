// A checkpoint folder in memory: what load_model() of decoder_model.h returns.  (Lesson 07)
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "needle/serve/model.h"
#include "needle/text/tokenizer.h"

namespace needle::serve {

struct LoadedModel {
  std::unique_ptr<Model> model;
  text::Tokenizer tokenizer;
  /// The `chat_template` of tokenizer_config.json; empty for a base model.
  std::string chat_template;

  /// The bytes of a token; none for ids that the model has beyond the tokenizer's vocabulary.
  std::string_view token_bytes(int id) const {
    return id < tokenizer.vocab_size() ? tokenizer.token_bytes(id) : std::string_view();
  }
};

}  // namespace needle::serve
