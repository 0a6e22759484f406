// The engine: one thread that gives every running request one token in turn.  (Lesson 07)
//
// Requests wait first come, first served, in a bounded queue; up to `max_running` choices run. The
// engine never waits for a reader: a choice whose reader is behind loses its turn. The reader of an
// admitted request sees one finish per choice, or one error that ends the whole request.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "needle/serve/job.h"
#include "needle/serve/model.h"

namespace needle::serve {

struct EngineOptions {
  int max_running = 8;  ///< Choices that hold a KV cache at once, at least 1.
  int max_queue = 64;   ///< Choices that may wait; an empty queue takes any request.
  int64_t max_queued_tokens = 1 << 18;  ///< Their prompt tokens together.
  int prefill_chunk = 128;              ///< Most prompt tokens computed in one turn, at least 1.
  size_t max_events = 256;              ///< Unread events of a request before it loses its turns.
  /// Gets one line for each request that ends in an exception.
  std::function<void(const std::string&)> log;
};

/// Why submit() took nothing.
class Refused : public std::runtime_error {
 public:
  enum class Reason { queue_full, draining, dead };
  Refused(Reason reason, const std::string& message)
      : std::runtime_error(message), reason(reason) {}
  const Reason reason;
};

struct EngineStats {
  int running = 0;  ///< Choices that hold a KV cache.
  int waiting = 0;  ///< Choices in the queue.
  bool draining = false;
  bool dead = false;  ///< The engine's thread ended by a fault of its own.
};

class Generation;

class Engine {
 public:
  /// `model` and what `token_bytes` refers to must outlive the engine. Starts the thread.
  Engine(const Model& model, TokenBytes token_bytes, EngineOptions options = {});
  /// Ends what runs or waits with an error event, and stops the thread.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues all choices of one request, or none. Throws Refused, or ValueError for a request that
  /// can never run (empty prompt, or a prompt that leaves no room in the context).
  std::unique_ptr<Generation> submit(std::vector<Request> choices);

  /// Ends a request in whatever state it is; its reader sees an error instead of what is unread.
  /// False if it is not known any more: finished, cancelled before, or never submitted.
  bool cancel(uint64_t id);

  /// From now on submit() throws Refused; what was admitted runs to its end.
  void drain();

  EngineStats stats() const;

 private:
  friend class Generation;
  struct Group;  // one request: its id, its unread events, its open choices
  struct Entry;  // one choice: its group and its Job

  void run();
  void serve_turns(std::unique_lock<std::mutex>& lock);
  void admit();
  std::unique_ptr<Entry> next_turn();
  void take_turn(std::unique_ptr<Entry> entry, std::unique_lock<std::mutex>& lock);
  void deliver(Group& group, std::vector<Event> events);
  void fail(Group& group);
  void drop_ended();
  void fail_everything();
  std::optional<Event> next_event(Group& group, std::chrono::milliseconds timeout);

  EngineOptions options_;
  JobContext context_;  // used by the engine's thread only

  mutable std::mutex mutex_;  // guards all below, and the groups
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Entry>> waiting_;
  std::deque<std::unique_ptr<Entry>> running_;  // the front has the next turn
  std::vector<std::weak_ptr<Group>> groups_;    // open requests
  int64_t queued_tokens_ = 0;
  uint64_t next_id_ = 1;
  bool in_turn_ = false;  // one entry is out of running_, in the hands of the thread
  bool draining_ = false;
  bool dead_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

/// The reader's end of a submitted request. Destroying it cancels what is not finished. It must not
/// outlive the engine.
class Generation {
 public:
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  uint64_t id() const;
  /// The next event, or nothing after `timeout`. Also nothing, at once, after the last event.
  std::optional<Event> next(std::chrono::milliseconds timeout);

 private:
  friend class Engine;
  Generation(Engine& engine, std::shared_ptr<Engine::Group> group)
      : engine_(engine), group_(std::move(group)) {}

  Engine& engine_;
  std::shared_ptr<Engine::Group> group_;
};

}  // namespace needle::serve
