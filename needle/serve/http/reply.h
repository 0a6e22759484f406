// The JSON of answers: whole, and as chunks of a stream.  (Lesson 07)
#pragma once

#include <string>
#include <vector>

#include "needle/serve/http/request.h"
#include "needle/text/json.h"

namespace needle::serve::http {

using text::Json;

/// Builds the answer to one request from the engine's events. The concatenated chunks say the same
/// as the whole answer.
class Reply {
 public:
  /// `request` and `loaded` must outlive the reply. `prompt_tokens` of all prompts together.
  Reply(const ApiRequest& request, const LoadedModel& loaded, std::string model_name, int choices,
        int prompt_tokens);

  /// Takes an event (no error) into the answer.
  void add(const Event& event);
  /// All choices have finished.
  bool complete() const { return open_ == 0; }

  /// The whole answer.
  std::string body() const;

  /// Chunks of the stream, each one JSON object. The first ones, before any event: the roles.
  std::vector<std::string> opening_chunks() const;
  std::string chunk(const Event& event) const;
  /// The last chunk, after all events; only if the client asked for it.
  std::string usage_chunk() const;

 private:
  struct Choice {
    std::string text;
    std::vector<TokenEntry> tokens;
    FinishReason reason = FinishReason::length;
  };

  Json frame(bool streamed) const;
  Json usage() const;
  Json logprobs(const std::vector<TokenEntry>& tokens) const;
  Json chat_logprobs(const std::vector<TokenEntry>& tokens) const;
  Json completion_logprobs(const std::vector<TokenEntry>& tokens) const;
  std::string stream_chunk(int index, Json delta_or_text, const Event* event) const;

  const ApiRequest& request_;
  const LoadedModel& loaded_;
  const bool chat_;
  const std::string id_;
  const int64_t created_;
  const std::string model_name_;
  std::vector<Choice> choices_;
  int open_;
  int prompt_tokens_;
  int completion_tokens_ = 0;
};

/// The model card of /v1/models.
Json model_card(const std::string& name, int64_t created, int max_model_len);

/// 16 random hexadecimal digits.
std::string random_id();

/// Seconds since 1970.
int64_t unix_seconds();

/// JSON text; ill-formed UTF-8 becomes U+FFFD instead of an exception.
std::string to_text(const Json& json);

}  // namespace needle::serve::http
