// One choice of a request on its way through the engine, without threads.  (Lesson 07)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "needle/serve/model.h"
#include "needle/serve/sampler.h"
#include "needle/serve/text_stream.h"

namespace needle::serve {

/// The bytes of a token; a special token gives its text.
using TokenBytes = std::function<std::string_view(int)>;

/// One choice to generate: a prompt and how to continue it.
struct Request {
  std::vector<int> prompt;  ///< At least one id, each 0 <= id < vocab_size.
  SamplingParams sampling;
  uint32_t random_stream = 0;     ///< The choice's number: choices of one seed differ.
  std::vector<std::string> stop;  ///< Non-empty strings.
  int max_tokens = 16;            ///< At least 1.
  bool echo = false;              ///< Begin the text with the prompt.
};

/// One token of the text. `has_logprob` is false only for the first token of an echoed prompt.
struct TokenEntry {
  TokenLogprob logprob;
  bool has_logprob = true;
  size_t text_offset = 0;  ///< Characters of the choice's text before this token.
};

enum class FinishReason { stop, length };

/// What the engine tells the reader of a request, in order: per choice pieces, then one finish,
/// which may carry the last piece. An error is the last event of the whole request.
struct Event {
  enum class Kind { piece, finish, error };
  Kind kind = Kind::piece;
  int choice = 0;                              ///< Index in the list that was submitted.
  std::string text;                            ///< Valid UTF-8. Not empty in a piece.
  std::vector<TokenEntry> tokens;              ///< Filled when log-probabilities were asked for.
  FinishReason reason = FinishReason::length;  ///< In a finish.
  int completion_tokens = 0;                   ///< In a finish: sampled tokens, end token included.
};

/// What all jobs of an engine share.
struct JobContext {
  const Model* model;
  TokenBytes token_bytes;
  std::unordered_set<int> end_tokens;
  int prefill_chunk;          ///< Most prompt tokens computed in one turn.
  Sampler sampler;            ///< Scratch of the engine's thread.
  std::vector<float> logits;  ///< (vocab_size), scratch.
};

/// The tokens of one choice, how many of them the model has seen, and everything that belongs to
/// its text. Prompt and generated tokens follow one rule: a turn computes some of the tokens the
/// model has not seen, and samples the next one when none is left.
class Job {
 public:
  Job(Request request, int choice);

  /// One turn: at most context.prefill_chunk tokens computed, at most one sampled. Returns the
  /// events it made, none while the prompt is not done or text is held back. Exceptions of the
  /// model and the sampler pass through; the job is then over.
  std::vector<Event> advance(JobContext& context);

  bool finished() const { return finished_; }
  int prompt_tokens() const { return static_cast<int>(request_.prompt.size()); }
  int choice() const { return choice_; }

 private:
  void compute(JobContext& context);
  void record_prompt(JobContext& context, size_t first, size_t last);
  void accept(JobContext& context, int token, std::vector<Event>& events);
  void note_token(JobContext& context, int token, bool has_logprob);
  void emit(std::string text, std::vector<Event>& events);
  void finish(FinishReason reason, std::string text, std::vector<Event>& events);

  bool wants_prompt_logprobs() const { return request_.echo && request_.sampling.logprobs >= 0; }
  int generated() const { return static_cast<int>(tokens_.size() - request_.prompt.size()); }

  Request request_;
  int choice_;
  std::vector<int> tokens_;  // prompt, then generated
  size_t computed_ = 0;      // tokens in the cache of sequence_
  std::unique_ptr<Sequence> sequence_;
  TokenHistory history_;
  Utf8Decoder decoder_;
  StopMatcher matcher_;
  std::string echo_text_;
  size_t characters_ = 0;            // decoded so far, stop strings and held back text included
  std::vector<TokenEntry> pending_;  // entries whose text has not gone out
  bool finished_ = false;
};

}  // namespace needle::serve
