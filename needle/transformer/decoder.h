// Decoder: a Llama-style language model.  (Lesson 06)
//
// Touvron et al. (arXiv 2302.13971): pre-norm blocks of grouped-query attention (arXiv 2305.13245)
// with rotary positions, and a SwiGLU network (arXiv 2002.05202). Parameter names are those of
// Hugging Face's LlamaForCausalLM, so checkpoints load either way.
#pragma once

#include <memory>
#include <vector>

#include "needle/nn/layers.h"
#include "needle/transformer/config.h"

namespace needle::transformer {

/// Keys and values of the positions seen so far, one pair per layer, for one batch of sequences.
class KVCache {
 public:
  /// Room for `capacity` positions: (batch, kv_heads, capacity, head_dim) per layer, twice.
  KVCache(const Config& config, int64_t capacity, int64_t batch = 1, Device device = {});

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  /// Writes k and v (batch, kv_heads, n, head_dim) behind the positions of `layer`; returns views
  /// of all positions up to and including them.
  std::pair<Tensor, Tensor> append(int layer, const Tensor& k, const Tensor& v);
  /// Takes over the positions of a cache of the same model, which must fit.
  void copy_from(const KVCache& other);
  /// Counts `n` positions as seen, once all layers appended them.
  void advance(int64_t n) { length_ += n; }

 private:
  int64_t capacity_;
  int64_t length_ = 0;
  std::vector<std::pair<NDArray, NDArray>> layers_;
};

/// cos and sin (count, head_dim / 2) of position * theta^(-2i / head_dim), for the positions from
/// `start`. Made for each pass: cheap beside the pass, and no memory for positions never used.
struct RotaryAngles {
  RotaryAngles(const Config& config, int64_t start, int64_t count, Device device);
  Tensor cos, sin;
};

class Attention : public nn::Module {
 public:
  explicit Attention(const Config& config);
  void members(nn::Members& visit) override;
  /// x (batch, seq, hidden); the positions are those behind the cache, or 0 ... without one.
  Tensor forward(const Tensor& x, const RotaryAngles& rotary, KVCache* cache, int layer);

 private:
  int64_t heads_, kv_heads_, head_dim_;
  nn::Linear q_proj_, k_proj_, v_proj_, o_proj_;
};

/// down(silu(gate(x)) * up(x)).
class SwiGLU : public nn::Layer {
 public:
  explicit SwiGLU(const Config& config);
  void members(nn::Members& visit) override;
  Tensor forward(const Tensor& x) override;

 private:
  nn::Linear gate_proj_, up_proj_, down_proj_;
};

class Block : public nn::Module {
 public:
  explicit Block(const Config& config);
  void members(nn::Members& visit) override;
  Tensor forward(const Tensor& x, const RotaryAngles& rotary, KVCache* cache, int layer);

 private:
  nn::RMSNorm input_layernorm_, post_attention_layernorm_;
  Attention self_attn_;
  SwiGLU mlp_;
};

class Decoder : public nn::Module {
 public:
  /// Weights normal with config.initializer_range, from the default generator.
  explicit Decoder(const Config& config);
  void members(nn::Members& visit) override;
  const Config& config() const { return config_; }

  /// tokens (batch, seq) int64 -> logits (batch, seq, vocab). With a cache, tokens are the next
  /// ones of each sequence. ValueError beyond max_position_embeddings or the cache's capacity.
  Tensor forward(const Tensor& tokens, KVCache* cache = nullptr);
  /// As forward, but only the last position's logits (batch, vocab): what decoding needs.
  Tensor forward_last(const Tensor& tokens, KVCache* cache);

 private:
  Tensor hidden(const Tensor& tokens, KVCache* cache);  // (batch, seq, hidden), after the last norm
  Tensor head(const Tensor& x);

  Config config_;
  nn::Embedding embed_tokens_;
  std::vector<std::unique_ptr<Block>> layers_;
  nn::RMSNorm norm_;
  std::unique_ptr<nn::Linear> lm_head_;  // null: tied to embed_tokens
};

}  // namespace needle::transformer
