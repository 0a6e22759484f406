// From the messages of a chat to the text that the model continues.  (Lesson 07)
#pragma once

#include <string>
#include <vector>

#include "needle/serve/http/request.h"

namespace needle::serve::http {

/// The text for `messages`. A base model has no template and knows no roles: it gets the texts of
/// all messages, one after the other, with a newline between two, and continues the last one.
/// `chat_template` is that of tokenizer_config.json. ApiError if there is one: templates are a
/// small language of their own, and a model that was trained on one fails quietly without it.
std::string apply_template(const std::vector<Message>& messages, const std::string& chat_template);

}  // namespace needle::serve::http
