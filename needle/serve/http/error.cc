// Error types by status, and the body.  (Lesson 07)
#include "needle/serve/http/error.h"

#include <nlohmann/json.hpp>

namespace needle::serve::http {
namespace {

const char* type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 429: return "rate_limit_error";
    case 503: return "service_unavailable";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

nlohmann::json or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

}  // namespace

int ApiError::retry_after() const {
  return status_ == 429 || (status_ == 503 && code_ != "engine_dead") ? 1 : 0;
}

std::string ApiError::body() const {
  const nlohmann::json error = {{"message", message_},
                                {"type", type_of(status_)},
                                {"param", or_null(param_)},
                                {"code", or_null(code_)}};
  return nlohmann::json{{"error", error}}.dump();
}

ApiError error_for_status(int status) {
  switch (status) {
    case 404: return {404, "There is nothing at this path.", {}, "not_found"};
    case 413: return {413, "The body is too large.", {}, "body_too_large"};
    case 414: return {414, "The URI is too long."};
    case 416: return {416, "The Range header is not valid; leave it out."};
    default:
      return status >= 500 ? ApiError(status, "The server failed on this request.")
                           : ApiError(status, "This is not a valid HTTP request.");
  }
}

}  // namespace needle::serve::http
