// The program needle-serve: a checkpoint folder behind the OpenAI API and a chat page.  (Lesson 07)
//
// Exit codes: 0 after SIGTERM or SIGINT, 1 for a wrong command line or port, 2 for a bad model.
#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <optional>
#include <thread>

#include "needle/backend/registry.h"
#include "needle/serve/decoder_model.h"
#include "needle/serve/engine.h"
#include "needle/serve/http/server.h"

namespace {

using namespace needle::serve;

struct Options {
  std::string model;
  std::string host = "127.0.0.1";
  int port = 8000;
  std::string served_name;
  std::string api_key;
  int max_queue = 64;
  int max_running = 8;
  int threads = 0;
};

void describe(CLI::App& app, Options& options) {
  app.add_option("--model", options.model, "Checkpoint folder")->required();
  app.add_option("--host", options.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "Port, 0 = any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  app.add_option("--served-name", options.served_name,
                 "Name of the model in the API; default: the folder's name");
  app.add_option("--api-key", options.api_key, "Key that clients must send; default: none");
  app.add_option("--max-queue", options.max_queue, "Choices that may wait; more get status 429")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--max-running", options.max_running, "Choices that are generated at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--threads", options.threads, "Threads of the model; default: all cores")
      ->check(CLI::Range(1, 1024));
  app.footer("Example: needle-serve --model runs/demo --port 8000");
}

/// The folder's name, also for "runs/demo/" and ".".
std::string default_name(const std::string& folder) {
  const std::string name =
      (std::filesystem::absolute(folder) / "").lexically_normal().parent_path().filename();
  return name.empty() ? "model" : name;
}

/// Blocks the signals that end the server, in this thread and all that it starts.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// Waits for a signal, then until everything admitted is answered. A second signal ends the
/// process at once.
void serve_until_signal(http::ApiServer& server, const sigset_t& signals) {
  std::thread listener([&] { server.listen(); });
  int signal = 0;
  sigwait(&signals, &signal);
  std::cerr << "needle-serve: finishing running requests; a second signal stops at once"
            << std::endl;
  server.drain();
  // A request may sit between socket and engine, so the server must look idle twice in a row.
  for (int quiet = 0; quiet < 2;) {
    const timespec pause{0, 20'000'000};
    const int second = sigtimedwait(&signals, nullptr, &pause);
    if (second > 0) _exit(128 + second);
    quiet = server.idle() ? quiet + 1 : 0;
  }
  server.stop();
  listener.join();
}

int serve(const Options& options) {
  const sigset_t signals = block_signals();
  if (options.threads > 0) needle::set_num_threads(options.threads);
  std::optional<LoadedModel> loaded;
  try {
    loaded.emplace(load_model(options.model));
  } catch (const std::exception& error) {
    std::cerr << "needle-serve: cannot serve this model: " << error.what() << std::endl;
    return 2;
  }

  EngineOptions engine_options;
  engine_options.max_queue = options.max_queue;
  engine_options.max_running = options.max_running;
  engine_options.log = [](const std::string& line) {
    std::cerr << "needle-serve: " << line << std::endl;
  };
  auto token_bytes = [&model = *loaded](int id) { return model.token_bytes(id); };
  Engine engine(*loaded->model, token_bytes, engine_options);

  http::ServerOptions server_options;
  server_options.model_name =
      options.served_name.empty() ? default_name(options.model) : options.served_name;
  server_options.api_key = options.api_key;
  // Every admitted request keeps a thread; some more answer health checks and refusals.
  server_options.connections = std::min(options.max_running + options.max_queue + 32, 512);
  http::ApiServer server(*loaded, engine, server_options);
  int port = 0;
  try {
    port = server.bind(options.host, options.port);
  } catch (const std::exception& error) {
    std::cerr << "needle-serve: " << error.what() << std::endl;
    return 1;
  }
  std::cout << "needle-serve: " << server_options.model_name << " ready at http://" << options.host
            << ':' << port << " (chat page at /, OpenAI API at /v1)" << std::endl;
  serve_until_signal(server, signals);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Serves a language model: OpenAI API and chat page.", "needle-serve");
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  try {
    return serve(options);
  } catch (const std::exception& error) {
    std::cerr << "needle-serve: " << error.what() << std::endl;
    return 1;
  }
}
