// The table of routes and the checks of a request's header.  (Lesson 07)
#include "needle/serve/http/routes.h"

#include <strings.h>

#include <array>
#include <string_view>

#include "needle/array/error.h"
#include "needle/serve/http/error.h"

namespace needle::serve::http {
namespace {

constexpr size_t kMaxPath = 1024;
constexpr size_t kMaxHeaders = 100;

constexpr std::array<RouteEntry, 6> kRoutes = {{
    {Route::page, "/", false, false, false},
    {Route::health, "/health", false, false, false},
    {Route::models, "/v1/models", false, false, true},
    {Route::model, "/v1/models/", true, false, true},
    {Route::completions, "/v1/completions", false, true, true},
    {Route::chat, "/v1/chat/completions", false, true, true},
}};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool matches(const RouteEntry& entry, std::string_view path) {
  const std::string_view own = entry.path;
  if (entry.is_prefix) return path.size() > own.size() && path.starts_with(own);
  return path == own ||
         (path.size() == own.size() + 1 && path.starts_with(own) && path.back() == '/');
}

ApiError too_large(size_t max_body_bytes) {
  return {413, str("The body must have at most ", max_body_bytes, " bytes."), {}, "body_too_large"};
}

}  // namespace

const RouteEntry& find_route(const httplib::Request& request, std::string& allow) {
  if (request.headers.size() > kMaxHeaders) {
    throw ApiError(400, str("A request may have at most ", kMaxHeaders, " header lines."));
  }
  if (request.path.size() > kMaxPath) throw error_for_status(414);
  for (const RouteEntry& entry : kRoutes) {
    if (!matches(entry, request.path)) continue;
    allow = entry.is_post ? "POST" : "GET, HEAD";
    const bool is_get = request.method == "GET" || request.method == "HEAD";
    if (entry.is_post ? request.method == "POST" : is_get) return entry;
    throw ApiError(405, str("This path serves ", allow, " only."), {}, "method_not_allowed");
  }
  throw error_for_status(404);
}

std::string route_argument(const httplib::Request& request, const RouteEntry& entry) {
  return request.path.substr(std::string_view(entry.path).size());
}

bool announces_body(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return request.has_header("Transfer-Encoding") || (!length.empty() && length != "0");
}

void check_body_headers(const httplib::Request& request, size_t max_body_bytes) {
  const size_t lengths = request.get_header_value_count("Content-Length");
  const size_t codings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + codings == 0) {
    throw ApiError(411, "The request must have a Content-Length, or a chunked body.");
  }
  // Two statements about the length are how one request is smuggled inside another.
  const std::string length = request.get_header_value("Content-Length");
  const bool digits = !length.empty() && length.size() <= 18 &&
                      length.find_first_not_of("0123456789") == std::string::npos;
  const bool chunked =
      equal_ignoring_case(request.get_header_value("Transfer-Encoding"), "chunked");
  if (lengths + codings > 1 || !(lengths ? digits : chunked)) {
    throw ApiError(400,
                   "The length of the body must be given once: by Content-Length in digits, or by "
                   "Transfer-Encoding: chunked.");
  }
  std::string type = request.get_header_value("Content-Type");
  type.erase(std::min(type.find(';'), type.size()));
  type.erase(type.find_last_not_of(" \t") + 1);
  if (!equal_ignoring_case(type, "application/json") || request.has_header("Content-Encoding")) {
    throw ApiError(415, "The body must have the content type application/json, not compressed.", {},
                   "unsupported_media_type");
  }
  if (lengths && std::stoull(length) > max_body_bytes) throw too_large(max_body_bytes);
}

std::string read_body(const httplib::ContentReader& reader, size_t max_body_bytes) {
  std::string body;
  bool large = false;
  const bool complete = reader([&](const char* data, size_t size) {
    large = body.size() + size > max_body_bytes;
    if (!large) body.append(data, size);
    return !large;
  });
  if (large) throw too_large(max_body_bytes);
  if (!complete) throw ApiError(400, "The body did not arrive as its header announced.");
  return body;
}

}  // namespace needle::serve::http
