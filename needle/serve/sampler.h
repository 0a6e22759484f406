// Choosing the next token from logits: greedy, temperature, truncation, penalties.  (Lesson 07)
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace needle::serve {

/// What the client asked for. The ranges are checked where the request is read.
struct SamplingParams {
  double temperature = 1.0;         ///< 0 = greedy: the largest logit, the lowest id on a tie.
  int top_k = 0;                    ///< Keep the k most probable tokens; <= 0 = off.
  double top_p = 1.0;               ///< Then the fewest of those with at least this share.
  double min_p = 0.0;               ///< Then those with at least this share of the best one.
  double presence_penalty = 0.0;    ///< Subtracted from the logit of every generated token.
  double frequency_penalty = 0.0;   ///< The same, times how often it was generated.
  double repetition_penalty = 1.0;  ///< Divides (logit > 0) or multiplies; prompt tokens too.
  std::vector<std::pair<int, double>> logit_bias;  ///< (token, added to its logit).
  uint64_t seed = 0;
  int logprobs = -1;  ///< Alternatives to report beside each token; -1 = no log-probabilities.

  bool has_penalties() const {
    return presence_penalty != 0 || frequency_penalty != 0 || repetition_penalty != 1;
  }
};

/// Natural-log probability of a token under the model itself: before penalties, temperature and
/// truncation. `top` holds the most probable tokens, best first, lower id first on a tie.
struct TokenLogprob {
  int token = 0;
  double logprob = 0;
  std::vector<std::pair<int, double>> top;
};

/// JSON has no minus infinity, so log-probabilities stop here.
inline constexpr double kLowestLogprob = -9999.0;

/// The tokens a penalty looks at. Kept only when a penalty is on.
class TokenHistory {
 public:
  void add_prompt(std::span<const int> tokens);
  void add_generated(int token) { ++generated_[token]; }

  /// Applies the three penalties of `params` to `logits` (vocab_size), in place.
  void penalize(const SamplingParams& params, std::span<float> logits) const;

 private:
  std::unordered_map<int, int> generated_;  // token -> how often; 0 = in the prompt only
};

/// A uniform number in [0, 1) with 53 random bits. It depends on nothing but its arguments (Philox,
/// see backend/random.h), so other requests in the batch cannot change it.
double random_uniform(uint64_t seed, uint32_t choice, uint32_t step);

/// The log-probability of `token` and of the `top` most probable tokens. logits: (vocab_size).
TokenLogprob log_probability(std::span<const float> logits, int token, int top);

/// Samples tokens. It holds scratch memory only, so one sampler can serve every request of a
/// thread, and a token costs no allocation once the scratch has grown to the vocabulary.
class Sampler {
 public:
  /// The next token, in the order: penalties, logit_bias, temperature, top_k, top_p, min_p.
  /// logits: (vocab_size). `uniform` in [0, 1) decides. A logit of -infinity means "never".
  /// RuntimeError for NaN, +infinity or when no token is possible.
  int sample(std::span<const float> logits, const SamplingParams& params,
             const TokenHistory& history, double uniform);

 private:
  int draw(std::span<const float> logits, const SamplingParams& params, int best, double uniform);
  double keep_most_probable(const SamplingParams& params, double total);

  std::vector<float> adjusted_;  // (vocab_size): logits with penalties and bias
  std::vector<double> weights_;  // (vocab_size): exp((logit - max) / temperature)
  std::vector<int> order_;       // candidates
};

}  // namespace needle::serve
