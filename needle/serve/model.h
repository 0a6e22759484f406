// The language model as the engine sees it: token ids in, logits out, no tensors.  (Lesson 07)
//
// decoder_model.h adapts transformer::Decoder to it; unit tests bring a fake.
#pragma once

#include <memory>
#include <span>
#include <vector>

namespace needle::serve {

/// The state of one sequence, its KV cache. Used by one thread at a time.
class Sequence {
 public:
  virtual ~Sequence() = default;

  /// Appends `tokens` (at least one, each 0 <= id < vocab_size) to the cache and writes the logits
  /// that follow the last of them to `logits` (vocab_size). The cache never holds more than
  /// context_length() tokens. An exception ends this sequence only; it is not used again.
  virtual void forward(std::span<const int> tokens, std::span<float> logits) = 0;
};

/// A language model: immutable facts and a factory of sequences.
class Model {
 public:
  virtual ~Model() = default;

  virtual int vocab_size() const = 0;
  /// Largest number of tokens of one sequence, prompt and output together.
  virtual int context_length() const = 0;
  /// The union of the end tokens of tokenizer, config.json and generation_config.json.
  virtual std::vector<int> end_tokens() const = 0;
  /// A new, empty sequence.
  virtual std::unique_ptr<Sequence> start() const = 0;
};

}  // namespace needle::serve
