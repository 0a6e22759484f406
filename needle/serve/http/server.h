// The HTTP server: routes, checks before the body, answers and streams.  (Lesson 07)
#pragma once

#include <memory>
#include <string>

#include "needle/serve/engine.h"
#include "needle/serve/http/connection.h"
#include "needle/serve/http/error.h"
#include "needle/serve/http/request.h"
#include "needle/serve/http/routes.h"
#include "needle/serve/loaded_model.h"

namespace needle::serve::http {

struct ServerOptions {
  std::string model_name;
  std::string api_key;  ///< Empty: any key is accepted, and none is needed.
  size_t max_body_bytes = size_t{8} << 20;
  int connections = 128;  ///< Served at once; more wait.
};

/// The OpenAI API and the chat page over one engine.
class ApiServer {
 public:
  /// `loaded` and `engine` must outlive the server.
  ApiServer(const LoadedModel& loaded, Engine& engine, ServerOptions options);

  /// Takes the address and returns the port (port 0: any free one). RuntimeError if it cannot.
  int bind(const std::string& host, int port);
  /// Serves until stop().
  void listen() { server_.listen_after_bind(); }
  /// Refuses new generations and closes idle connections; what runs goes on.
  void drain();
  /// Nothing is being answered or generated.
  bool idle() const;
  void stop() { server_.stop(); }

 private:
  struct Exchange;

  bool answer_early(const httplib::Request& request, httplib::Response& response);
  void get(const RouteEntry& entry, const httplib::Request& request, httplib::Response& response);
  void post(const httplib::Request& request, httplib::Response& response,
            const httplib::ContentReader& reader);
  void generate(Endpoint endpoint, const std::string& body, httplib::Response& response);
  std::unique_ptr<Exchange> start(Endpoint endpoint, const std::string& body);
  void check_key(const httplib::Request& request) const;
  void check_model(const std::string& name) const;

  const LoadedModel& loaded_;
  Engine& engine_;
  ServerOptions options_;
  int64_t created_;
  ConnectionServer server_;
};

}  // namespace needle::serve::http
