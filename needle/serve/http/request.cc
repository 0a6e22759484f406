// The tables of fields, and from fields to choices.  (Lesson 07)
#include "needle/serve/http/request.h"

#include <algorithm>
#include <limits>

#include "needle/serve/http/error.h"
#include "needle/serve/http/field.h"

namespace needle::serve::http {
namespace {

using Table = std::vector<Field<ApiRequest>>;

/// For fields where everything above some bound means the same.
int clamp_to_int(int64_t value) {
  return static_cast<int>(std::min<int64_t>(value, std::numeric_limits<int>::max()));
}

void read_model(const Json& value, const Json&, ApiRequest& request) {
  if (!value.is_string()) refuse("model", "a string");
  request.model = value.get<std::string>();
}

std::vector<int> read_ids(const Json& list, int vocab_size) {
  std::vector<int> ids;
  for (const Json& id : list) {
    ids.push_back(static_cast<int>(read_integer(id, "prompt", 0, vocab_size - 1)));
  }
  return ids;
}

void read_prompt(const Json& value, const Json&, ApiRequest& request) {
  const std::string rule =
      "a non-empty string, or a non-empty list of non-empty strings, of token "
      "ids, or of non-empty lists of token ids";
  auto all = [&](auto is_kind) { return std::all_of(value.begin(), value.end(), is_kind); };
  auto text = [](const Json& item) {
    return item.is_string() && !item.get_ref<const std::string&>().empty();
  };
  auto ids = [](const Json& item) { return item.is_array() && !item.empty(); };

  if (text(value)) {
    request.prompt_texts = {value.get<std::string>()};
  } else if (!ids(value)) {
    refuse("prompt", rule);
  } else if (all([](const Json& item) { return item.is_number(); })) {
    request.prompt_ids = {read_ids(value, request.vocab_size)};
  } else if (value.size() > kMaxPrompts) {
    refuse("prompt", str("a list of at most ", kMaxPrompts, " prompts"));
  } else if (all(text)) {
    request.prompt_texts = value.get<std::vector<std::string>>();
  } else if (all(ids)) {
    for (const Json& list : value) {
      request.prompt_ids.push_back(read_ids(list, request.vocab_size));
    }
  } else {
    refuse("prompt", rule);
  }
}

std::string read_content(const Json& content) {
  const std::string rule = "a list of objects whose 'content' is a string or a list of text parts";
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) refuse("messages", rule);
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text") ||
        !part["text"].is_string()) {
      refuse("messages", rule);
    }
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

void read_messages(const Json& value, const Json&, ApiRequest& request) {
  if (!value.is_array() || value.empty()) refuse("messages", "a non-empty list of objects");
  for (const Json& entry : value) {
    if (!entry.is_object()) refuse("messages", "a list of objects");
    const Json role = entry.value("role", Json());
    if (role != "system" && role != "developer" && role != "user" && role != "assistant") {
      refuse("messages", "a list whose 'role' is system, developer, user or assistant");
    }
    Message message{role.get<std::string>(), read_content(entry.value("content", Json()))};
    if (message.content.empty() && role != "assistant") {
      refuse("messages", "a list of messages with some text; only assistant content may be empty");
    }
    request.messages.push_back(std::move(message));
  }
}

void read_stop(const Json& value, const Json&, ApiRequest& request) {
  const Json list = value.is_string() ? Json::array({value}) : value;
  const bool good = list.is_array() && list.size() <= kMaxStops &&
                    std::all_of(list.begin(), list.end(), [](const Json& stop) {
                      if (!stop.is_string()) return false;
                      const size_t bytes = stop.get_ref<const std::string&>().size();
                      return bytes >= 1 && bytes <= kMaxStopBytes;
                    });
  if (!good) {
    refuse("stop", str("a string of 1 to ", kMaxStopBytes, " bytes, or a list of at most ",
                       kMaxStops, " of them"));
  }
  request.stop = list.get<std::vector<std::string>>();
}

void read_top_logprobs(const Json& value, const Json&, ApiRequest& request) {
  const auto count = read_integer(value, "top_logprobs", 0, kMaxLogprobs);
  if (!request.logprobs) refuse("top_logprobs", "left out unless 'logprobs' is true");
  request.logprobs = static_cast<int>(count);
}

void read_stream_options(const Json& value, const Json&, ApiRequest& request) {
  if (!request.stream) refuse("stream_options", "left out unless 'stream' is true");
  if (!value.is_object()) refuse("stream_options", "an object");
  const Json usage = value.value("include_usage", Json());
  if (!usage.is_null() && !usage.is_boolean()) {
    refuse("stream_options", "an object whose 'include_usage' is true or false");
  }
  request.include_usage = usage == true;
}

void read_logit_bias(const Json& value, const Json&, ApiRequest& request) {
  const std::string rule = str("an object of at most ", kMaxBiases, " token ids from 0 to ",
                               request.vocab_size - 1, ", each with a number from -100 to 100");
  if (!value.is_object() || value.size() > kMaxBiases) refuse("logit_bias", rule);
  for (const auto& [key, bias] : value.items()) {
    const bool decimal =
        !key.empty() && key.size() <= 9 && key.find_first_not_of("0123456789") == std::string::npos;
    const int id = decimal ? std::stoi(key) : -1;
    const double number = bias.is_number() ? bias.get<double>() : 101;
    if (id < 0 || id >= request.vocab_size || !(number >= -100 && number <= 100)) {
      refuse("logit_bias", rule);
    }
    request.sampling.logit_bias.emplace_back(id, number);
  }
}

void read_user(const Json& value, const Json&, ApiRequest&) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxUserBytes) {
    refuse("user", str("a string of at most ", kMaxUserBytes, " bytes"));
  }
}

Table make_table(Endpoint endpoint) {
  using R = ApiRequest;
  const bool chat = endpoint == Endpoint::chat;
  Table table = {
      unsupported_field<R>("tools"),
      unsupported_field<R>("functions"),
      unsupported_field<R>(
          "tool_choice",
          [](const Json& value, const Json&) { return value == "none" || value == "auto"; }),
      unsupported_field<R>("response_format",
                           [](const Json& value, const Json&) {
                             return value.is_object() && value.value("type", Json()) == "text";
                           }),
      unsupported_field<R>("suffix"),
      unsupported_field<R>("best_of",
                           [](const Json& value, const Json& body) {
                             const Json n = body.value("n", Json());
                             return value.is_number_integer() &&
                                    value == (n.is_null() ? Json(1) : n);
                           }),
      unsupported_field<R>("audio"),
      {"model", read_model, true},
  };
  if (chat) {
    table.push_back({"messages", read_messages, true});
  } else {
    table.push_back({"prompt", read_prompt, true});
  }
  auto add = [&](Field<R> field) { table.push_back(std::move(field)); };
  add(integer_field<R>("max_tokens", 1, INT64_MAX,
                       [](R& r, int64_t v) { r.max_tokens = clamp_to_int(v); }));
  if (chat) {
    add(integer_field<R>("max_completion_tokens", 1, INT64_MAX,
                         [](R& r, int64_t v) { r.max_completion_tokens = clamp_to_int(v); }));
  }
  add(number_field<R>("temperature", 0, 2, [](R& r, double v) { r.sampling.temperature = v; }));
  add(number_field<R>(
      "top_p", 0, 1, [](R& r, double v) { r.sampling.top_p = v; }, true));
  add(number_field<R>("min_p", 0, 1, [](R& r, double v) { r.sampling.min_p = v; }));
  add(integer_field<R>("top_k", -1, INT64_MAX,
                       [](R& r, int64_t v) { r.sampling.top_k = clamp_to_int(v); }));
  add(integer_field<R>("n", 1, kMaxSamples, [](R& r, int64_t v) { r.n = static_cast<int>(v); }));
  add({"stop", read_stop});
  add(integer_field<R>("seed", INT64_MIN, INT64_MAX, [](R& r, int64_t v) { r.seed = v; }));
  if (chat) {
    add(boolean_field<R>("logprobs", [](R& r, bool v) {
      if (v) r.logprobs = 0;
    }));
    add({"top_logprobs", read_top_logprobs});
  } else {
    add(integer_field<R>("logprobs", 0, kMaxLogprobs, [](R& r, int64_t v) { r.logprobs = v; }));
  }
  add(boolean_field<R>("stream", [](R& r, bool v) { r.stream = v; }));
  if (!chat) add(boolean_field<R>("echo", [](R& r, bool v) { r.echo = v; }));
  add({"stream_options", read_stream_options});
  add(number_field<R>("presence_penalty", -2, 2,
                      [](R& r, double v) { r.sampling.presence_penalty = v; }));
  add(number_field<R>("frequency_penalty", -2, 2,
                      [](R& r, double v) { r.sampling.frequency_penalty = v; }));
  add(number_field<R>(
      "repetition_penalty", 0, 10, [](R& r, double v) { r.sampling.repetition_penalty = v; },
      true));
  add({"logit_bias", read_logit_bias});
  add({"user", read_user});
  return table;
}

}  // namespace

ApiRequest parse_request(Endpoint endpoint, std::string_view body, int vocab_size) {
  static const Table completions = make_table(Endpoint::completions);
  static const Table chat = make_table(Endpoint::chat);

  Json json;
  try {
    json = text::parse_json(body, "body");
  } catch (const std::exception&) {  // its message quotes the body
  }
  if (!json.is_object()) {
    throw ApiError(400,
                   "The body must be one JSON object in UTF-8, nested at most 64 levels deep, "
                   "without duplicate keys and with finite numbers.",
                   {}, "invalid_json");
  }
  ApiRequest request;
  request.endpoint = endpoint;
  request.vocab_size = vocab_size;
  read_fields(endpoint == Endpoint::chat ? chat : completions, json, request);
  const size_t prompts =
      std::max<size_t>({1, request.prompt_texts.size(), request.prompt_ids.size()});
  if (prompts * request.n > kMaxChoices) {
    refuse("n", str("so small that prompts times n is at most ", kMaxChoices));
  }
  return request;
}

}  // namespace needle::serve::http
