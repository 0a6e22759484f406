// Routes and answers.  (Lesson 07)
#include "needle/serve/http/server.h"

#include <sys/socket.h>

#include <chrono>
#include <iostream>

#include "needle/array/error.h"
#include "needle/serve/http/chat_page.h"
#include "needle/serve/http/reply.h"
#include "needle/serve/http/routes.h"

namespace needle::serve::http {
namespace {

constexpr std::chrono::milliseconds kPoll{50};  // how soon a client that has gone is noticed
constexpr std::chrono::seconds kPing{10};       // a comment keeps a silent stream alive

// The page talks to this server only; the browser holds it to that.
constexpr const char* kPagePolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// Errors are answered without a word of theirs about the inside.
ApiError engine_failed() { return {500, "The engine failed on this request."}; }

void set_json(httplib::Response& response, int status, const std::string& body) {
  response.status = status;
  response.set_content(body, "application/json");
}

void set_error(httplib::Response& response, const ApiError& error) {
  set_json(response, error.status(), error.body());
  if (error.retry_after()) response.set_header("Retry-After", str(error.retry_after()));
}

ApiError refused(Refused::Reason reason) {
  switch (reason) {
    case Refused::Reason::queue_full:
      return {429, "The queue is full; try again soon.", {}, "queue_full"};
    case Refused::Reason::draining: return {503, "The server is shutting down.", {}, "draining"};
    case Refused::Reason::dead: break;
  }
  return {503, "The engine has stopped after a fault; restart the server.", {}, "engine_dead"};
}

/// Equal in a time that does not depend on where the texts differ.
bool equal_secrets(const std::string& a, const std::string& b) {
  unsigned char difference = a.size() != b.size();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

/// One write per frame; each ends in a blank line.
bool write_frame(httplib::DataSink& sink, const std::string& json) {
  const std::string frame = "data: " + json + "\n\n";
  return sink.write(frame.data(), frame.size());
}

}  // namespace

/// A request that the engine has admitted. Destroying it cancels what is not finished.
struct ApiServer::Exchange {
  ApiRequest request;
  std::unique_ptr<Generation> generation;
  std::unique_ptr<Reply> reply;  // refers to `request`
  bool opened = false;
  std::chrono::steady_clock::time_point last_write = std::chrono::steady_clock::now();

  /// Waits for all events. False if the client went away.
  bool collect(const Connection& connection) {
    while (!reply->complete()) {
      if (connection.peer_gone()) return false;
      const std::optional<Event> event = generation->next(kPoll);
      if (!event) continue;
      if (event->kind == Event::Kind::error) throw engine_failed();
      reply->add(*event);
    }
    return true;
  }

  /// Writes what there is to write within one poll. False ends the connection.
  bool write_some(httplib::DataSink& sink) {
    bool good = true;
    if (!std::exchange(opened, true)) {
      for (const std::string& chunk : reply->opening_chunks()) good &= write_frame(sink, chunk);
    }
    const std::optional<Event> event = generation->next(kPoll);
    const bool failed = event && event->kind == Event::Kind::error;
    const auto now = std::chrono::steady_clock::now();
    if (failed) {
      good &= write_frame(sink, engine_failed().body());
    } else if (event) {
      reply->add(*event);
      good &= write_frame(sink, reply->chunk(*event));
    } else if (now - last_write > kPing) {
      good &= sink.write(": waiting\n\n", 11);
    } else {
      return good && sink.is_writable();
    }
    last_write = now;
    if (reply->complete() && request.include_usage) good &= write_frame(sink, reply->usage_chunk());
    if (reply->complete() || failed) {
      good &= write_frame(sink, "[DONE]");
      sink.done();
    }
    return good && !Connection::current().peer_gone();
  }
};

ApiServer::ApiServer(const LoadedModel& loaded, Engine& engine, ServerOptions options)
    : loaded_(loaded), engine_(engine), options_(std::move(options)), created_(unix_seconds()) {
  using httplib::Request;
  using httplib::Response;
  using Handled = httplib::Server::HandlerResponse;
  server_.new_task_queue = [count = options_.connections] {
    return new httplib::ThreadPool(count);
  };
  server_.set_tcp_nodelay(true);
  server_.set_keep_alive_timeout(ConnectionServer::kKeepAliveSeconds);
  server_.set_keep_alive_max_count(1000);  // only said in a header; our loop does not count
  server_.set_socket_options([](socket_t socket) {
    // Not SO_REUSEPORT, with which a second server would silently share the port.
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server_.set_pre_routing_handler([this](const Request& request, Response& response) {
    return answer_early(request, response) ? Handled::Handled : Handled::Unhandled;
  });
  server_.Post("/v1/(chat/)?completions/?",
               [this](const Request& request, Response& response,
                      const httplib::ContentReader& reader) { post(request, response, reader); });
  server_.set_error_handler([](const Request&, Response& response) {
    // Errors of the library's own have no body, and leave the rest of the request unread.
    if (!response.body.empty()) return;
    Connection::current().close_after_answer();
    set_error(response, error_for_status(response.status));
  });
  server_.set_exception_handler([](const Request&, Response& response, std::exception_ptr fault) {
    try {
      std::rethrow_exception(std::move(fault));
    } catch (const std::exception& error) {
      std::cerr << "needle-serve: " << error.what() << std::endl;
    } catch (...) {
    }
    Connection::current().close_after_answer();
    set_error(response, error_for_status(500));
  });
  server_.set_post_routing_handler([](const Request&, Response& response) {
    response.set_header("x-request-id", "req-" + random_id());
    if (!Connection::current().closes_after_answer()) return;
    response.headers.erase("Keep-Alive");
    response.headers.erase("Connection");
    response.set_header("Connection", "close");
  });
}

int ApiServer::bind(const std::string& host, int port) {
  const int bound =
      port == 0 ? server_.bind_to_any_port(host) : (server_.bind_to_port(host, port) ? port : -1);
  if (bound < 0) {
    throw RuntimeError(str("cannot listen on ", host, " port ", port,
                           "; the port is in use or the address is not one of this machine"));
  }
  return bound;
}

void ApiServer::drain() {
  engine_.drain();
  server_.close_idle();
}

bool ApiServer::idle() const {
  const EngineStats stats = engine_.stats();
  return stats.running + stats.waiting + server_.active() == 0;
}

void ApiServer::check_key(const httplib::Request& request) const {
  const bool good =
      options_.api_key.empty() ||
      equal_secrets(request.get_header_value("Authorization"), "Bearer " + options_.api_key);
  if (!good) {
    throw ApiError(401, "The key is missing or wrong; send 'Authorization: Bearer <key>'.", {},
                   "invalid_api_key");
  }
}

/// Runs before a body is read. Answers everything but a POST that may go on to its body.
bool ApiServer::answer_early(const httplib::Request& request, httplib::Response& response) {
  std::string allow;
  try {
    const RouteEntry& entry = find_route(request, allow);
    if (entry.needs_key) check_key(request);
    if (entry.is_post) {
      check_body_headers(request, options_.max_body_bytes);
      return false;
    }
    get(entry, request, response);
  } catch (const ApiError& error) {
    set_error(response, error);
    if (error.status() == 405) response.set_header("Allow", allow);
  }
  if (announces_body(request)) Connection::current().close_after_answer();
  return true;
}

void ApiServer::get(const RouteEntry& entry, const httplib::Request& request,
                    httplib::Response& response) {
  if (entry.route == Route::page) {
    response.status = 200;
    response.set_header("Content-Security-Policy", kPagePolicy);
    response.set_content(std::string(chat_page()), "text/html; charset=utf-8");
    return;
  }
  Json json;
  if (entry.route == Route::health) {
    const EngineStats stats = engine_.stats();
    if (stats.dead) throw refused(Refused::Reason::dead);
    if (stats.draining) throw refused(Refused::Reason::draining);
    json = {{"status", "ok"}, {"running", stats.running}, {"waiting", stats.waiting}};
  } else {
    json = model_card(options_.model_name, created_, loaded_.model->context_length());
    if (entry.route == Route::models) json = {{"object", "list"}, {"data", Json::array({json})}};
    if (entry.route == Route::model) check_model(route_argument(request, entry));
  }
  set_json(response, 200, to_text(json));
}

void ApiServer::check_model(const std::string& name) const {
  if (name != options_.model_name) {
    throw ApiError(404, "There is no such model here; GET /v1/models names the one that is.",
                   "model", "model_not_found");
  }
}

void ApiServer::post(const httplib::Request& request, httplib::Response& response,
                     const httplib::ContentReader& reader) {
  const bool chat = request.path.starts_with("/v1/chat");
  try {
    std::string body;
    try {
      body = read_body(reader, options_.max_body_bytes);
    } catch (const ApiError&) {
      Connection::current().close_after_answer();
      throw;
    }
    generate(chat ? Endpoint::chat : Endpoint::completions, body, response);
  } catch (const ApiError& error) {
    set_error(response, error);
  }
}

/// Everything that can be refused is refused here, before a status line goes out.
std::unique_ptr<ApiServer::Exchange> ApiServer::start(Endpoint endpoint, const std::string& body) {
  auto exchange = std::make_unique<Exchange>();
  exchange->request = parse_request(endpoint, body, loaded_.model->vocab_size());
  check_model(exchange->request.model);
  const auto prompts = encode_prompts(exchange->request, loaded_);
  auto choices = make_choices(exchange->request, prompts, loaded_.model->context_length());
  int prompt_tokens = 0;
  for (const auto& prompt : prompts) prompt_tokens += static_cast<int>(prompt.size());
  exchange->reply = std::make_unique<Reply>(exchange->request, loaded_, options_.model_name,
                                            static_cast<int>(choices.size()), prompt_tokens);
  try {
    exchange->generation = engine_.submit(std::move(choices));
  } catch (const Refused& refusal) {
    throw refused(refusal.reason);
  }
  return exchange;
}

void ApiServer::generate(Endpoint endpoint, const std::string& body, httplib::Response& response) {
  std::shared_ptr<Exchange> exchange = start(endpoint, body);
  if (!exchange->request.stream) {
    if (exchange->collect(Connection::current())) {
      set_json(response, 200, exchange->reply->body());
    } else {
      Connection::current().close_after_answer();
      set_error(response, ApiError(400, "The client closed the connection."));
    }
    return;
  }
  response.status = 200;
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  response.set_chunked_content_provider(
      "text/event-stream", [exchange](size_t, httplib::DataSink& sink) {
        try {
          return exchange->write_some(sink);
        } catch (...) {
          // An exception out of a provider ends the process. Nothing here should throw but for
          // lack of memory; the connection is cut, which the client sees.
          return false;
        }
      });
}

}  // namespace needle::serve::http
