// JSON shapes of completions and chats.  (Lesson 07)
#include "needle/serve/http/reply.h"

#include <chrono>
#include <random>

#include "needle/array/error.h"
#include "needle/serve/text_stream.h"

namespace needle::serve::http {
namespace {

const char* name_of(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : "length";
}

/// A token on its own as text; part of a character shows as U+FFFD.
std::string shown(std::string_view bytes) {
  Utf8Decoder decoder;
  std::string text = decoder.push(bytes);
  return text += decoder.flush();
}

/// The alternatives, with the sampled token at the end if it is not among the best.
std::vector<std::pair<int, double>> with_sampled(const TokenLogprob& entry) {
  auto list = entry.top;
  for (const auto& [token, logprob] : list) {
    if (token == entry.token) return list;
  }
  list.emplace_back(entry.token, entry.logprob);
  return list;
}

}  // namespace

Reply::Reply(const ApiRequest& request, const LoadedModel& loaded, std::string model_name,
             int choices, int prompt_tokens)
    : request_(request),
      loaded_(loaded),
      chat_(request.endpoint == Endpoint::chat),
      id_((chat_ ? "chatcmpl-" : "cmpl-") + random_id()),
      created_(unix_seconds()),
      model_name_(std::move(model_name)),
      choices_(choices),
      open_(choices),
      prompt_tokens_(prompt_tokens) {}

void Reply::add(const Event& event) {
  Choice& choice = choices_.at(event.choice);
  if (!request_.stream) {
    choice.text += event.text;
    choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
  }
  if (event.kind != Event::Kind::finish) return;
  choice.reason = event.reason;
  completion_tokens_ += event.completion_tokens;
  --open_;
}

std::string Reply::body() const {
  Json choices = Json::array();
  for (const Choice& choice : choices_) {
    Json json = {{"index", choices.size()},
                 {"finish_reason", name_of(choice.reason)},
                 {"logprobs", logprobs(choice.tokens)}};
    if (chat_) {
      json["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
      json["text"] = choice.text;
    }
    choices.push_back(std::move(json));
  }
  Json json = frame(false);
  json["choices"] = std::move(choices);
  json["usage"] = usage();
  return to_text(json);
}

std::vector<std::string> Reply::opening_chunks() const {
  std::vector<std::string> chunks;
  for (int index = 0; chat_ && index < static_cast<int>(choices_.size()); ++index) {
    chunks.push_back(stream_chunk(index, {{"role", "assistant"}, {"content", ""}}, nullptr));
  }
  return chunks;
}

std::string Reply::chunk(const Event& event) const {
  if (!chat_) return stream_chunk(event.choice, event.text, &event);
  Json delta = Json::object();
  if (!event.text.empty()) delta["content"] = event.text;
  return stream_chunk(event.choice, std::move(delta), &event);
}

std::string Reply::usage_chunk() const {
  Json json = frame(true);
  json["choices"] = Json::array();
  json["usage"] = usage();
  return to_text(json);
}

std::string Reply::stream_chunk(int index, Json delta_or_text, const Event* event) const {
  const bool last = event && event->kind == Event::Kind::finish;
  Json choice = {{"index", index},
                 {chat_ ? "delta" : "text", std::move(delta_or_text)},
                 {"finish_reason", last ? Json(name_of(event->reason)) : Json(nullptr)},
                 {"logprobs", event ? logprobs(event->tokens) : Json(nullptr)}};
  Json json = frame(true);
  json["choices"] = Json::array({std::move(choice)});
  if (request_.include_usage) json["usage"] = nullptr;
  return to_text(json);
}

/// What every answer and every chunk of it has in common.
Json Reply::frame(bool streamed) const {
  const char* chat_object = streamed ? "chat.completion.chunk" : "chat.completion";
  return {{"id", id_},
          {"object", chat_ ? chat_object : "text_completion"},
          {"created", created_},
          {"model", model_name_}};
}

Json Reply::usage() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", completion_tokens_},
          {"total_tokens", prompt_tokens_ + completion_tokens_},
          {"prompt_tokens_details", {{"cached_tokens", 0}}}};
}

Json Reply::logprobs(const std::vector<TokenEntry>& tokens) const {
  if (!request_.logprobs) return nullptr;
  return chat_ ? chat_logprobs(tokens) : completion_logprobs(tokens);
}

Json Reply::chat_logprobs(const std::vector<TokenEntry>& tokens) const {
  auto describe = [&](int token, double logprob) {
    const std::string_view bytes = loaded_.token_bytes(token);
    const std::vector<unsigned char> numbers(bytes.begin(), bytes.end());
    return Json{{"token", shown(bytes)}, {"logprob", logprob}, {"bytes", numbers}};
  };
  Json content = Json::array();
  for (const TokenEntry& entry : tokens) {
    Json item = describe(entry.logprob.token, entry.logprob.logprob);
    item["top_logprobs"] = Json::array();
    if (*request_.logprobs > 0) {
      for (const auto& [token, logprob] : with_sampled(entry.logprob)) {
        item["top_logprobs"].push_back(describe(token, logprob));
      }
    }
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json Reply::completion_logprobs(const std::vector<TokenEntry>& tokens) const {
  Json json = {{"tokens", Json::array()},
               {"token_logprobs", Json::array()},
               {"top_logprobs", Json::array()},
               {"text_offset", Json::array()}};
  for (const TokenEntry& entry : tokens) {
    json["tokens"].push_back(shown(loaded_.token_bytes(entry.logprob.token)));
    json["text_offset"].push_back(entry.text_offset);
    if (!entry.has_logprob) {
      json["token_logprobs"].push_back(nullptr);
      json["top_logprobs"].push_back(nullptr);
      continue;
    }
    json["token_logprobs"].push_back(entry.logprob.logprob);
    Json top = Json::object();
    for (const auto& [token, logprob] : with_sampled(entry.logprob)) {
      // Of two tokens that look alike, the better one stays.
      top.emplace(shown(loaded_.token_bytes(token)), logprob);
    }
    json["top_logprobs"].push_back(std::move(top));
  }
  return json;
}

Json model_card(const std::string& name, int64_t created, int max_model_len) {
  return {{"id", name},
          {"object", "model"},
          {"created", created},
          {"owned_by", "needle"},
          {"max_model_len", max_model_len}};
}

std::string random_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 2; ++i) {
    for (uint32_t word = random(), digit = 0; digit < 8; ++digit, word >>= 4) {
      id += "0123456789abcdef"[word & 15];
    }
  }
  return id;
}

int64_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace needle::serve::http
