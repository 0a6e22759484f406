// From a checked request to token ids and choices for the engine.  (Lesson 07)
#include <algorithm>
#include <random>

#include "needle/array/error.h"
#include "needle/serve/http/chat_template.h"
#include "needle/serve/http/error.h"
#include "needle/serve/http/request.h"

namespace needle::serve::http {
namespace {

constexpr int kDefaultCompletionTokens = 16;

/// The token limit that the client gave, and the name of its field.
struct ExplicitLimit {
  std::optional<int> tokens;
  const char* field;
};

ExplicitLimit explicit_limit(const ApiRequest& request) {
  if (request.max_completion_tokens) {
    return {request.max_completion_tokens, "max_completion_tokens"};
  }
  return {request.max_tokens, "max_tokens"};
}

void check_length(const ApiRequest& request, size_t length, int context_length) {
  const char* field = request.endpoint == Endpoint::chat ? "messages" : "prompt";
  const auto context = static_cast<size_t>(context_length);
  if (length == 0) throw ApiError(400, str("'", field, "' must contain some text."), field);
  if (length + 1 > context) {
    throw ApiError(
        400,
        str("'", field, "' has ", length, " tokens; this model takes at most ", context - 1, "."),
        field, "context_length_exceeded");
  }
  const ExplicitLimit limit = explicit_limit(request);
  if (limit.tokens && length + *limit.tokens > context) {
    throw ApiError(400,
                   str("'", limit.field, "' is ", *limit.tokens, " and the prompt has ", length,
                       " tokens; together they may have at most ", context, "."),
                   limit.field, "context_length_exceeded");
  }
}

}  // namespace

std::vector<std::vector<int>> encode_prompts(const ApiRequest& request, const LoadedModel& loaded) {
  std::vector<std::vector<int>> prompts = request.prompt_ids;
  auto encode = [&](const std::string& text) {
    std::vector<int> ids = loaded.tokenizer.prefix();
    const std::vector<int> body = loaded.tokenizer.encode(text);
    ids.insert(ids.end(), body.begin(), body.end());
    prompts.push_back(std::move(ids));
  };
  if (request.endpoint == Endpoint::chat) {
    encode(apply_template(request.messages, loaded.chat_template));
  } else {
    for (const std::string& text : request.prompt_texts) encode(text);
  }
  for (const auto& prompt : prompts) {
    check_length(request, prompt.size(), loaded.model->context_length());
  }
  return prompts;
}

std::vector<Request> make_choices(const ApiRequest& request,
                                  const std::vector<std::vector<int>>& prompts,
                                  int context_length) {
  SamplingParams sampling = request.sampling;
  std::random_device random;
  sampling.seed =
      request.seed ? static_cast<uint64_t>(*request.seed) : uint64_t{random()} << 32 | random();
  sampling.logprobs = request.logprobs.value_or(-1);

  const int by_default =
      request.endpoint == Endpoint::chat ? context_length : kDefaultCompletionTokens;
  std::vector<Request> choices;
  for (const auto& prompt : prompts) {
    for (int sample = 0; sample < request.n; ++sample) {
      Request choice;
      choice.prompt = prompt;
      choice.sampling = sampling;
      choice.random_stream = static_cast<uint32_t>(choices.size());
      choice.stop = request.stop;
      choice.max_tokens = explicit_limit(request).tokens.value_or(by_default);
      choice.echo = request.echo;
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

}  // namespace needle::serve::http
