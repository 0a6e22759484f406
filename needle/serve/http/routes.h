// Which paths there are, and what a request must look like before its body is read.  (Lesson 07)
#pragma once

#include <httplib.h>

#include <string>

namespace needle::serve::http {

enum class Route { page, health, models, model, completions, chat };

struct RouteEntry {
  Route route;
  const char* path;
  bool is_prefix;  // the rest of the path is an argument
  bool is_post;    // else GET and HEAD
  bool needs_key;  // if one is configured
};

/// The entry for a path, with or without a slash at its end. ApiError 404 if there is none, 405
/// if it does not serve the request's method; then `allow` is set to the methods that it serves.
const RouteEntry& find_route(const httplib::Request& request, std::string& allow);

/// The argument of a prefix route: what follows its path.
std::string route_argument(const httplib::Request& request, const RouteEntry& entry);

/// A body may follow the header.
bool announces_body(const httplib::Request& request);

/// ApiError unless a POST has a readable length, the content type application/json and at most
/// `max_body_bytes`.
void check_body_headers(const httplib::Request& request, size_t max_body_bytes);

/// The body of a POST. ApiError 413 beyond `max_body_bytes`, 400 if it does not arrive.
std::string read_body(const httplib::ContentReader& reader, size_t max_body_bytes);

}  // namespace needle::serve::http
