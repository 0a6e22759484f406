// The decoder behind the engine's interface.  (Lesson 07)
#include "needle/serve/decoder_model.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "needle/text/json.h"
#include "needle/transformer/checkpoint.h"

namespace needle::serve {
namespace {

namespace fs = std::filesystem;
using transformer::Decoder;
using transformer::KVCache;

class DecoderSequence final : public Sequence {
 public:
  explicit DecoderSequence(Decoder& decoder)
      : decoder_(decoder), device_(decoder.parameters().front().device()) {}

  void forward(std::span<const int> tokens, std::span<float> logits) override {
    const NoGrad guard;
    const int64_t count = static_cast<int64_t>(tokens.size());
    reserve(length() + count);
    const NDArray ids = NDArray::empty({1, count}, DType::int64);
    std::copy(tokens.begin(), tokens.end(), ids.data<int64_t>());
    const Tensor out = decoder_.forward_last(to_device(Tensor(ids), device_), cache_.get());
    const NDArray row = needle::contiguous(to_device(out, Device{})).value();  // (1, vocab)
    std::copy_n(row.data<float>(), logits.size(), logits.begin());
  }

 private:
  int64_t length() const { return cache_ ? cache_->length() : 0; }

  /// Room for `wanted` positions. The cache doubles, so that a short request stays small.
  void reserve(int64_t wanted) {
    if (cache_ && wanted <= cache_->capacity()) return;
    const transformer::Config& config = decoder_.config();
    const int64_t doubled = std::max<int64_t>({256, wanted, cache_ ? 2 * cache_->capacity() : 0});
    const int64_t capacity = std::min(doubled, config.max_position_embeddings);
    auto grown = std::make_unique<KVCache>(config, capacity, 1, device_);
    if (cache_) grown->copy_from(*cache_);
    cache_ = std::move(grown);
  }

  Decoder& decoder_;
  Device device_;
  std::unique_ptr<KVCache> cache_;
};

class DecoderModel final : public Model {
 public:
  DecoderModel(std::unique_ptr<Decoder> decoder, int vocab_size, std::vector<int> end_tokens)
      : decoder_(std::move(decoder)), vocab_size_(vocab_size), end_tokens_(std::move(end_tokens)) {}

  int vocab_size() const override { return vocab_size_; }
  int context_length() const override {
    return static_cast<int>(decoder_->config().max_position_embeddings);
  }
  std::vector<int> end_tokens() const override { return end_tokens_; }
  std::unique_ptr<Sequence> start() const override {
    return std::make_unique<DecoderSequence>(*decoder_);
  }

 private:
  std::unique_ptr<Decoder> decoder_;
  int vocab_size_;
  std::vector<int> end_tokens_;
};

}  // namespace

std::unique_ptr<Model> make_model(std::unique_ptr<Decoder> decoder, int vocab_size,
                                  std::vector<int> end_tokens) {
  return std::make_unique<DecoderModel>(std::move(decoder), vocab_size, std::move(end_tokens));
}

LoadedModel load_model(const std::string& folder) {
  const fs::path path(folder);
  std::unique_ptr<Decoder> decoder = transformer::load_pretrained(folder);
  const std::string tokenizer_path = (path / "tokenizer.json").string();
  text::Tokenizer tokenizer = text::Tokenizer::load(tokenizer_path);
  const transformer::Config& config = decoder->config();
  if (tokenizer.vocab_size() > config.vocab_size) {
    throw ValueError(str(tokenizer_path, ": has ", tokenizer.vocab_size(),
                         " tokens, but the model knows only ", config.vocab_size));
  }

  std::set<int> ends(config.eos_token_ids.begin(), config.eos_token_ids.end());
  const fs::path generation = path / "generation_config.json";
  if (fs::exists(generation)) {
    const auto ids = transformer::GenerationConfig::load(generation.string()).eos_token_ids;
    ends.insert(ids.begin(), ids.end());
  }
  std::string chat_template;
  const fs::path tokenizer_config = path / "tokenizer_config.json";
  if (fs::exists(tokenizer_config)) {
    const std::string name = tokenizer_config.string();
    const text::Json json = text::parse_json(text::read_file(name, 1 << 24), name);
    const text::Fields fields(json, name);
    chat_template = fields.string("chat_template", "");
    const std::string end = fields.string("eos_token", "");
    if (const auto id = tokenizer.special_id(end)) ends.insert(*id);
  }
  const int vocab_size = tokenizer.vocab_size();
  return {make_model(std::move(decoder), vocab_size, {ends.begin(), ends.end()}),
          std::move(tokenizer), std::move(chat_template)};
}

}  // namespace needle::serve
