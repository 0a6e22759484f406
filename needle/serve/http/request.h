// A completion or chat request, read from its JSON body and checked.  (Lesson 07)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "needle/serve/engine.h"
#include "needle/serve/loaded_model.h"

namespace needle::serve::http {

enum class Endpoint { completions, chat };

/// Limits of one request; beyond them the answer is 400.
inline constexpr int kMaxPrompts = 64;
inline constexpr int kMaxSamples = 16;   // n
inline constexpr int kMaxChoices = 128;  // prompts * n
inline constexpr int kMaxLogprobs = 20;
inline constexpr size_t kMaxStops = 4;
inline constexpr size_t kMaxStopBytes = 256;
inline constexpr size_t kMaxBiases = 1024;
inline constexpr size_t kMaxUserBytes = 512;

/// One message of a chat. Text parts are joined.
struct Message {
  std::string role;
  std::string content;
};

/// The fields as the client sent them, each within its range.
struct ApiRequest {
  Endpoint endpoint = Endpoint::completions;
  int vocab_size = 0;  // ids in `prompt` and `logit_bias` lie below

  std::string model;
  std::vector<std::string> prompt_texts;     // one of the two
  std::vector<std::vector<int>> prompt_ids;  // is filled
  std::vector<Message> messages;
  std::optional<int> max_tokens;
  std::optional<int> max_completion_tokens;  // chat; wins over max_tokens
  int n = 1;
  std::vector<std::string> stop;
  std::optional<int64_t> seed;
  SamplingParams sampling;      // its seed and logprobs are set from the fields beside it
  std::optional<int> logprobs;  // number of alternatives
  bool stream = false;
  bool include_usage = false;
  bool echo = false;
};

/// Reads and checks the body. ApiError (400) for the first fault, in the documented order.
ApiRequest parse_request(Endpoint endpoint, std::string_view body, int vocab_size);

/// The token ids of every prompt: texts and chats are encoded. ApiError if one is empty, or too
/// long for `context_length` together with an explicit token limit.
std::vector<std::vector<int>> encode_prompts(const ApiRequest& request, const LoadedModel& loaded);

/// The choices for the engine, prompt-major: choice = prompt * n + sample.
std::vector<Request> make_choices(const ApiRequest& request,
                                  const std::vector<std::vector<int>>& prompts, int context_length);

}  // namespace needle::serve::http
