// The error body of the API, and the exception that carries it to a route.  (Lesson 07)
#pragma once

#include <exception>
#include <string>

namespace needle::serve::http {

/// An answer with status >= 400. Messages are fixed sentences: they never contain bytes of the
/// request, paths, or what() of an exception.
class ApiError : public std::exception {
 public:
  /// An empty `param` or `code` is written as null.
  ApiError(int status, std::string message, std::string param = {}, std::string code = {})
      : status_(status),
        message_(std::move(message)),
        param_(std::move(param)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }
  /// Seconds for the Retry-After header; 0 = no such header.
  int retry_after() const;
  /// {"error":{"message","type","param","code"}}
  std::string body() const;

 private:
  int status_;
  std::string message_, param_, code_;
};

/// The error for a status that the HTTP library decided on by itself.
ApiError error_for_status(int status);

}  // namespace needle::serve::http
