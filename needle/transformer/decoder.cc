// The decoder, from tokens to logits.  (Lesson 06)
#include "needle/transformer/decoder.h"

#include <cmath>

#include "needle/backend/registry.h"
#include "needle/nn/init.h"

namespace needle::transformer {

KVCache::KVCache(const Config& config, int64_t capacity, int64_t batch, Device device)
    : capacity_(capacity) {
  if (capacity < 1 || capacity > config.max_position_embeddings) {
    throw ValueError(str("KVCache: capacity ", capacity, " is not in [1, ",
                         config.max_position_embeddings, "], the model's positions"));
  }
  const Shape shape{batch, config.num_key_value_heads, capacity, config.head_dim};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.emplace_back(NDArray::empty(shape, DType::float32, device),
                         NDArray::empty(shape, DType::float32, device));
  }
}

std::pair<Tensor, Tensor> KVCache::append(int layer, const Tensor& k, const Tensor& v) {
  const int64_t stop = length_ + k.shape(2);
  auto& [keys, values] = layers_[layer];
  assign(keys.slice(2, {length_, stop, 1}), k.value());
  assign(values.slice(2, {length_, stop, 1}), v.value());
  return {Tensor(keys.slice(2, {0, stop, 1})), Tensor(values.slice(2, {0, stop, 1}))};
}

void KVCache::copy_from(const KVCache& other) {
  length_ = other.length_;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Slice seen{0, length_, 1};
    assign(layers_[i].first.slice(2, seen), other.layers_[i].first.slice(2, seen));
    assign(layers_[i].second.slice(2, seen), other.layers_[i].second.slice(2, seen));
  }
}

RotaryAngles::RotaryAngles(const Config& config, int64_t start, int64_t count, Device device) {
  const int64_t half = config.head_dim / 2;
  const NDArray c = NDArray::empty({count, half}, DType::float32);
  const NDArray s = NDArray::empty({count, half}, DType::float32);
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(config.head_dim);
    // float32 on purpose: the models were trained with angles rounded like this.
    const float frequency = static_cast<float>(1 / std::pow(config.rope_theta, exponent));
    for (int64_t row = 0; row < count; ++row) {
      const float angle = static_cast<float>(start + row) * frequency;
      c.data<float>()[row * half + i] = std::cos(angle);
      s.data<float>()[row * half + i] = std::sin(angle);
    }
  }
  cos = Tensor(to_device(c, device));
  sin = Tensor(to_device(s, device));
}

Attention::Attention(const Config& config)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      q_proj_(config.hidden_size, heads_ * head_dim_, false),
      k_proj_(config.hidden_size, kv_heads_ * head_dim_, false),
      v_proj_(config.hidden_size, kv_heads_ * head_dim_, false),
      o_proj_(heads_ * head_dim_, config.hidden_size, false) {}

void Attention::members(nn::Members& visit) {
  visit.module("q_proj", q_proj_);
  visit.module("k_proj", k_proj_);
  visit.module("v_proj", v_proj_);
  visit.module("o_proj", o_proj_);
}

Tensor Attention::forward(const Tensor& x, const RotaryAngles& rotary, KVCache* cache, int layer) {
  const int64_t batch = x.shape(0);
  const int64_t seq = x.shape(1);
  // (batch, seq, heads * d) -> (batch, heads, seq, d): a view.
  const auto heads = [&](const Tensor& y, int64_t count) {
    return transpose(reshape(y, {batch, seq, count, head_dim_}), 1, 2);
  };
  const Tensor q = rotary_embedding(heads(q_proj_(x), heads_), rotary.cos, rotary.sin);
  Tensor k = rotary_embedding(heads(k_proj_(x), kv_heads_), rotary.cos, rotary.sin);
  Tensor v = heads(v_proj_(x), kv_heads_);
  if (cache) std::tie(k, v) = cache->append(layer, k, v);
  const Tensor y = scaled_dot_product_attention(q, k, v, /*causal=*/true);
  return o_proj_(reshape(transpose(y, 1, 2), {batch, seq, heads_ * head_dim_}));
}

SwiGLU::SwiGLU(const Config& config)
    : gate_proj_(config.hidden_size, config.intermediate_size, false),
      up_proj_(config.hidden_size, config.intermediate_size, false),
      down_proj_(config.intermediate_size, config.hidden_size, false) {}

void SwiGLU::members(nn::Members& visit) {
  visit.module("gate_proj", gate_proj_);
  visit.module("up_proj", up_proj_);
  visit.module("down_proj", down_proj_);
}

Tensor SwiGLU::forward(const Tensor& x) {
  return down_proj_(mul(silu(gate_proj_(x)), up_proj_(x)));
}

Block::Block(const Config& config)
    : input_layernorm_(config.hidden_size, config.rms_norm_eps),
      post_attention_layernorm_(config.hidden_size, config.rms_norm_eps),
      self_attn_(config),
      mlp_(config) {}

void Block::members(nn::Members& visit) {
  visit.module("input_layernorm", input_layernorm_);
  visit.module("self_attn", self_attn_);
  visit.module("post_attention_layernorm", post_attention_layernorm_);
  visit.module("mlp", mlp_);
}

Tensor Block::forward(const Tensor& x, const RotaryAngles& rotary, KVCache* cache, int layer) {
  const Tensor y = add(x, self_attn_.forward(input_layernorm_(x), rotary, cache, layer));
  return add(y, mlp_(post_attention_layernorm_(y)));
}

static Config checked(Config config) {
  config.validate();
  return config;
}

Decoder::Decoder(const Config& config)
    : config_(checked(config)),
      embed_tokens_(config_.vocab_size, config_.hidden_size),
      norm_(config_.hidden_size, config_.rms_norm_eps) {
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<Block>(config_));
  }
  if (!config_.tie_word_embeddings) {
    lm_head_ = std::make_unique<nn::Linear>(config_.hidden_size, config_.vocab_size, false);
  }
  for (const Tensor& p : parameters()) {
    if (p.ndim() == 2) nn::normal_(p, 0, config_.initializer_range);
  }
}

void Decoder::members(nn::Members& visit) {
  visit.module("model.embed_tokens", embed_tokens_);
  for (size_t i = 0; i < layers_.size(); ++i) visit.module(str("model.layers.", i), *layers_[i]);
  visit.module("model.norm", norm_);
  if (lm_head_) visit.module("lm_head", *lm_head_);
}

Tensor Decoder::hidden(const Tensor& tokens, KVCache* cache) {
  if (tokens.ndim() != 2) {
    throw ValueError(str("Decoder: tokens ", tokens.shape(), "; wanted (batch, seq)"));
  }
  const int64_t start = cache ? cache->length() : 0;
  const int64_t stop = start + tokens.shape(1);
  const int64_t limit = cache ? cache->capacity() : config_.max_position_embeddings;
  if (stop > limit) {
    throw ValueError(str("Decoder: ", stop, " positions are more than the ", limit,
                         cache ? " the cache has room for" : " the model knows"));
  }
  const RotaryAngles rotary(config_, start, tokens.shape(1), tokens.device());
  Tensor x = embed_tokens_(tokens);
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i]->forward(x, rotary, cache, static_cast<int>(i));
  }
  if (cache) cache->advance(tokens.shape(1));
  return norm_(x);
}

Tensor Decoder::head(const Tensor& x) {
  return lm_head_ ? (*lm_head_)(x) : matmul(x, transpose(embed_tokens_.weight, 0, 1));
}

Tensor Decoder::forward(const Tensor& tokens, KVCache* cache) {
  return head(hidden(tokens, cache));
}

Tensor Decoder::forward_last(const Tensor& tokens, KVCache* cache) {
  const Tensor x = hidden(tokens, cache);
  return head(select(x, 1, -1));
}

}  // namespace needle::transformer
