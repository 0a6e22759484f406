// The sampler.  (Lesson 07)
//
// Nucleus sampling (top_p): Holtzman et al., "The curious case of neural text degeneration", 2020.
// min_p: Nguyen et al., "Turning up the heat: min-p sampling", 2024. Repetition penalty: Keskar et
// al., "CTRL", 2019, section 4.1.
#include "needle/serve/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "needle/array/error.h"
#include "needle/backend/random.h"

namespace needle::serve {
namespace {

/// The id of the largest logit, the lowest on a tie; RuntimeError if the logits are unusable.
int checked_argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    // The negated form is also true for NaN.
    if (!(logits[i] < INFINITY)) {
      throw RuntimeError(str("sample: the logit of token ", i, " is ", logits[i],
                             "; the model must produce numbers below infinity"));
    }
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || logits[best] == -INFINITY) {
    throw RuntimeError("sample: no token is possible; at least one logit must be finite");
  }
  return static_cast<int>(best);
}

}  // namespace

void TokenHistory::add_prompt(std::span<const int> tokens) {
  for (int token : tokens) generated_.try_emplace(token, 0);
}

void TokenHistory::penalize(const SamplingParams& params, std::span<float> logits) const {
  for (const auto& [token, count] : generated_) {
    double logit = logits[token];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (count > 0) logit -= params.presence_penalty + params.frequency_penalty * count;
    logits[token] = static_cast<float>(logit);
  }
}

double random_uniform(uint64_t seed, uint32_t choice, uint32_t step) {
  const Philox block = philox(seed, uint64_t{choice} << 32 | step);
  const uint64_t bits = uint64_t{block.word[0]} << 32 | block.word[1];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

TokenLogprob log_probability(std::span<const float> logits, int token, int top) {
  const double max = logits[checked_argmax(logits)];
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - max);
  const double log_sum = max + std::log(sum);
  auto logprob = [&](int id) { return std::clamp(logits[id] - log_sum, kLowestLogprob, 0.0); };

  TokenLogprob result{token, logprob(token), {}};
  const size_t count = std::min(static_cast<size_t>(std::max(top, 0)), logits.size());
  if (count == 0) return result;
  std::vector<int> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int a, int b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  for (size_t i = 0; i < count; ++i) result.top.emplace_back(ids[i], logprob(ids[i]));
  return result;
}

int Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                    const TokenHistory& history, double uniform) {
  if (params.has_penalties() || !params.logit_bias.empty()) {
    adjusted_.assign(logits.begin(), logits.end());
    if (params.has_penalties()) history.penalize(params, adjusted_);
    for (const auto& [id, bias] : params.logit_bias) adjusted_[id] += static_cast<float>(bias);
    logits = adjusted_;
  }
  const int best = checked_argmax(logits);
  if (params.temperature == 0) return best;
  return draw(logits, params, best, uniform);
}

int Sampler::draw(std::span<const float> logits, const SamplingParams& params, int best,
                  double uniform) {
  const size_t size = logits.size();
  weights_.resize(size);
  double total = 0;
  for (size_t i = 0; i < size; ++i) {
    // The best token has weight 1 at every temperature, so the sum is never 0.
    weights_[i] = std::exp((double{logits[i]} - logits[best]) / params.temperature);
    total += weights_[i];
  }
  order_.resize(size);
  std::iota(order_.begin(), order_.end(), 0);
  if (params.top_k > 0 || params.top_p < 1) total = keep_most_probable(params, total);
  if (params.min_p > 0) {
    std::erase_if(order_, [&](int id) { return weights_[id] < params.min_p; });
    total = 0;
    for (int id : order_) total += weights_[id];
  }

  double left = uniform * total;
  int last = best;
  for (int id : order_) {
    if (weights_[id] == 0) continue;
    last = id;
    left -= weights_[id];
    if (left < 0) break;
  }
  return last;  // rounding may leave a rest: then the last possible token
}

/// Cuts `order_` to the tokens that top_k and top_p keep, best first, and returns their weight.
/// A heap gives them in order without sorting the whole vocabulary.
double Sampler::keep_most_probable(const SamplingParams& params, double total) {
  auto worse = [&](int a, int b) {
    return weights_[a] != weights_[b] ? weights_[a] < weights_[b] : a > b;
  };
  std::make_heap(order_.begin(), order_.end(), worse);
  auto end = order_.end();  // [end, order_.end()) holds what was taken, worst first
  auto take = [&] {
    std::pop_heap(order_.begin(), end, worse);
    return weights_[*--end];
  };

  double kept = 0;
  if (params.top_k > 0) {
    for (int k = params.top_k; k > 0 && end != order_.begin(); --k) kept += take();
    total = kept;
  } else {
    while (end != order_.begin() && kept < params.top_p * total) kept += take();
  }
  std::reverse(end, order_.end());
  order_.erase(order_.begin(), end);

  // top_p over what top_k left; without top_k the list already ends there.
  size_t count = 0;
  for (kept = 0; count < order_.size() && (count == 0 || kept < params.top_p * total); ++count) {
    kept += weights_[order_[count]];
  }
  order_.resize(count);
  return kept;
}

}  // namespace needle::serve
