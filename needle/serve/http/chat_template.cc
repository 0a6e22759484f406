// Chat templates: the plain one of a base model.  (Lesson 07)
#include "needle/serve/http/chat_template.h"

#include "needle/serve/http/error.h"

namespace needle::serve::http {

std::string apply_template(const std::vector<Message>& messages, const std::string& chat_template) {
  if (!chat_template.empty()) {
    throw ApiError(400,
                   "This model has a chat template, which this server cannot apply yet; use "
                   "/v1/completions.",
                   "messages", "chat_template_unsupported");
  }
  std::string text;
  for (const Message& message : messages) {
    if (!text.empty()) text += '\n';
    text += message.content;
  }
  return text;
}

}  // namespace needle::serve::http
