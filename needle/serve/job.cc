// One choice: prefill in chunks, decode, text and log-probabilities.  (Lesson 07)
#include "needle/serve/job.h"

#include <algorithm>

#include "needle/array/error.h"

namespace needle::serve {

Job::Job(Request request, int choice)
    : request_(std::move(request)),
      choice_(choice),
      tokens_(request_.prompt),
      matcher_(request_.stop) {
  if (request_.prompt.empty())
    throw ValueError("Request: prompt is empty; give at least one token");
  if (request_.max_tokens < 1) {
    throw ValueError(str("Request: max_tokens is ", request_.max_tokens, "; give at least 1"));
  }
  if (request_.sampling.has_penalties()) history_.add_prompt(request_.prompt);
}

std::vector<Event> Job::advance(JobContext& context) {
  std::vector<Event> events;
  if (!sequence_) sequence_ = context.model->start();
  compute(context);
  if (computed_ < tokens_.size()) return events;

  if (request_.echo && generated() == 0) emit(std::exchange(echo_text_, {}), events);
  const SamplingParams& params = request_.sampling;
  const double uniform = random_uniform(params.seed, request_.random_stream, generated());
  accept(context, context.sampler.sample(context.logits, params, history_, uniform), events);
  if (finished_) sequence_.reset();
  return events;
}

/// Runs the model over the next chunk of tokens it has not seen.
void Job::compute(JobContext& context) {
  // Log-probabilities of the prompt need the logits after each of its tokens.
  const size_t limit = wants_prompt_logprobs() ? 1 : context.prefill_chunk;
  const size_t count = std::min(limit, tokens_.size() - computed_);
  const size_t first = computed_;
  if (request_.echo && first == 0) record_prompt(context, 0, 1);
  context.logits.resize(context.model->vocab_size());
  sequence_->forward(std::span<const int>(tokens_).subspan(first, count), context.logits);
  computed_ += count;
  if (request_.echo && generated() == 0) {
    record_prompt(context, first + 1, std::min(computed_ + 1, tokens_.size()));
  }
}

/// Adds prompt tokens [first, last) to the echoed text. The logits are those before token `first`,
/// which count only if tokens go one by one.
void Job::record_prompt(JobContext& context, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    if (wants_prompt_logprobs()) note_token(context, tokens_[i], i > 0);
    const std::string text = decoder_.push(context.token_bytes(tokens_[i]));
    characters_ += count_characters(text);
    echo_text_ += text;
  }
}

/// Takes a sampled token into the text; ends the choice at an end token, a stop string or a limit.
void Job::accept(JobContext& context, int token, std::vector<Event>& events) {
  tokens_.push_back(token);
  if (request_.sampling.has_penalties()) history_.add_generated(token);
  if (context.end_tokens.contains(token)) return finish(FinishReason::stop, {}, events);

  if (request_.sampling.logprobs >= 0) note_token(context, token, true);
  const std::string text = decoder_.push(context.token_bytes(token));
  characters_ += count_characters(text);
  std::string safe = matcher_.push(text);
  if (matcher_.stopped()) return finish(FinishReason::stop, std::move(safe), events);

  const bool full = static_cast<int>(tokens_.size()) >= context.model->context_length();
  if (generated() >= request_.max_tokens || full) {
    return finish(FinishReason::length, std::move(safe), events);
  }
  emit(std::move(safe), events);
}

void Job::note_token(JobContext& context, int token, bool has_logprob) {
  TokenEntry entry;
  if (has_logprob) {
    entry.logprob = log_probability(context.logits, token, request_.sampling.logprobs);
  }
  entry.logprob.token = token;
  entry.has_logprob = has_logprob;
  entry.text_offset = characters_ + decoder_.is_broken_by(context.token_bytes(token));
  pending_.push_back(std::move(entry));
}

/// A piece, with the entries of all tokens so far. No text: they wait for the next piece.
void Job::emit(std::string text, std::vector<Event>& events) {
  if (text.empty()) return;
  Event event;
  event.choice = choice_;
  event.text = std::move(text);
  event.tokens = std::exchange(pending_, {});
  events.push_back(std::move(event));
}

/// The last event. What decoder and matcher still hold goes out, up to a stop string.
void Job::finish(FinishReason reason, std::string text, std::vector<Event>& events) {
  text += matcher_.push(decoder_.flush());
  text += matcher_.flush();
  Event event;
  event.kind = Event::Kind::finish;
  event.choice = choice_;
  event.reason = matcher_.stopped() ? FinishReason::stop : reason;
  event.completion_tokens = generated();
  // Tokens that lie wholly behind the cut of a stop string are no part of the text.
  if (!matcher_.stopped() || !text.empty()) event.tokens = std::exchange(pending_, {});
  event.text = std::move(text);
  events.push_back(std::move(event));
  finished_ = true;
}

}  // namespace needle::serve
