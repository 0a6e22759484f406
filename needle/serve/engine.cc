// Queue, turns, cancellation and the engine's thread.  (Lesson 07)
#include "needle/serve/engine.h"

#include <algorithm>
#include <exception>

#include "needle/array/error.h"

namespace needle::serve {

struct Engine::Group {
  uint64_t id = 0;
  int open = 0;       // choices without a finish event
  bool over = false;  // cancelled or failed: no more turns, no more events
  std::deque<Event> events;
  std::condition_variable changed;
};

struct Engine::Entry {
  std::shared_ptr<Group> group;
  Job job;
};

Engine::Engine(const Model& model, TokenBytes token_bytes, EngineOptions options)
    : options_(std::move(options)) {
  if (options_.max_running < 1 || options_.prefill_chunk < 1) {
    throw ValueError("Engine: max_running and prefill_chunk must be at least 1");
  }
  const std::vector<int> ends = model.end_tokens();
  context_.model = &model;
  context_.token_bytes = std::move(token_bytes);
  context_.end_tokens.insert(ends.begin(), ends.end());
  context_.prefill_chunk = options_.prefill_chunk;
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::unique_ptr<Generation> Engine::submit(std::vector<Request> choices) {
  if (choices.empty()) throw ValueError("submit: no choices; give at least one");
  auto group = std::make_shared<Group>();
  group->open = static_cast<int>(choices.size());
  std::vector<std::unique_ptr<Entry>> entries;
  int64_t tokens = 0;
  for (Request& request : choices) {
    const int longest = context_.model->context_length() - 1;
    if (static_cast<int>(request.prompt.size()) > longest) {
      throw ValueError(str("submit: the prompt has ", request.prompt.size(), " tokens; at most ",
                           longest, " leave room to continue"));
    }
    tokens += static_cast<int64_t>(request.prompt.size());
    const int index = static_cast<int>(entries.size());
    entries.push_back(std::make_unique<Entry>(Entry{group, Job(std::move(request), index)}));
  }

  std::lock_guard lock(mutex_);
  if (dead_) throw Refused(Refused::Reason::dead, "the engine has stopped after a fault");
  if (draining_ || stopping_)
    throw Refused(Refused::Reason::draining, "the engine is shutting down");
  const int free = options_.max_running - static_cast<int>(running_.size()) - in_turn_;
  const int would_wait = static_cast<int>(waiting_.size() + entries.size()) - free;
  const bool full =
      would_wait > options_.max_queue || queued_tokens_ + tokens > options_.max_queued_tokens;
  if (full && !waiting_.empty()) throw Refused(Refused::Reason::queue_full, "the queue is full");
  group->id = next_id_++;
  std::move(entries.begin(), entries.end(), std::back_inserter(waiting_));
  queued_tokens_ += tokens;
  std::erase_if(groups_, [](const auto& open) { return open.expired(); });
  groups_.push_back(group);
  wake_.notify_all();
  return std::unique_ptr<Generation>(new Generation(*this, std::move(group)));
}

bool Engine::cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  for (const auto& weak : groups_) {
    const auto group = weak.lock();
    if (!group || group->id != id) continue;
    if (group->open == 0 || group->over) return false;
    group->events.clear();
    fail(*group);  // the thread frees the caches, after the turn it may be in
    wake_.notify_all();
    return true;
  }
  return false;
}

void Engine::drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
}

EngineStats Engine::stats() const {
  std::lock_guard lock(mutex_);
  return {static_cast<int>(running_.size()) + in_turn_, static_cast<int>(waiting_.size()),
          draining_, dead_};
}

/// The thread. Only a fault outside a request's own turn (say, no memory for the queue) gets here.
void Engine::run() {
  std::unique_lock lock(mutex_);
  try {
    serve_turns(lock);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    in_turn_ = false;
    dead_ = true;
  }
  fail_everything();
}

void Engine::serve_turns(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    drop_ended();
    admit();
    if (auto entry = next_turn()) {
      take_turn(std::move(entry), lock);
    } else {
      wake_.wait(lock);
    }
  }
}

void Engine::admit() {
  while (!waiting_.empty() && running_.size() < static_cast<size_t>(options_.max_running)) {
    queued_tokens_ -= waiting_.front()->job.prompt_tokens();
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

/// Takes the first running choice whose reader keeps up out of `running_`; null if there is none.
std::unique_ptr<Engine::Entry> Engine::next_turn() {
  for (auto it = running_.begin(); it != running_.end(); ++it) {
    if ((*it)->group->events.size() >= options_.max_events) continue;
    auto entry = std::move(*it);
    running_.erase(it);
    return entry;
  }
  return nullptr;
}

/// One turn, without the lock while the model works. An exception ends this request only.
void Engine::take_turn(std::unique_ptr<Entry> entry, std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Group> group = entry->group;
  std::vector<Event> events;
  std::string fault;
  in_turn_ = true;
  lock.unlock();
  try {
    events = entry->job.advance(context_);
  } catch (const std::exception& error) {
    fault = str("request ", group->id, ": ", error.what());
  } catch (...) {
    fault = str("request ", group->id, ": unknown exception");
  }
  if (!fault.empty() && options_.log) options_.log(fault);
  if (!fault.empty() || entry->job.finished()) entry.reset();  // frees the cache
  lock.lock();
  in_turn_ = false;
  if (entry) running_.push_back(std::move(entry));
  if (fault.empty()) {
    deliver(*group, std::move(events));
  } else {
    fail(*group);
  }
}

void Engine::deliver(Group& group, std::vector<Event> events) {
  if (group.over || events.empty()) return;
  for (Event& event : events) {
    if (event.kind == Event::Kind::finish) --group.open;
    group.events.push_back(std::move(event));
  }
  group.changed.notify_all();
}

/// The last event of a request that cannot go on; its other choices end with it.
void Engine::fail(Group& group) {
  if (group.over || group.open == 0) return;
  group.over = true;
  group.events.emplace_back().kind = Event::Kind::error;
  group.changed.notify_all();
}

/// Takes the choices of cancelled and failed requests out of every list.
void Engine::drop_ended() {
  auto ended = [](const auto& entry) { return entry->group->over; };
  std::erase_if(running_, ended);
  std::erase_if(waiting_, [&](const auto& entry) {
    if (!ended(entry)) return false;
    queued_tokens_ -= entry->job.prompt_tokens();
    return true;
  });
}

/// The end of the thread: nobody may be left waiting for an event.
void Engine::fail_everything() {
  for (const auto& weak : groups_) {
    if (const auto group = weak.lock()) fail(*group);
  }
  drop_ended();
}

std::optional<Event> Engine::next_event(Group& group, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  group.changed.wait_for(lock, timeout,
                         [&] { return !group.events.empty() || group.open == 0 || group.over; });
  if (group.events.empty()) return std::nullopt;
  Event event = std::move(group.events.front());
  group.events.pop_front();
  if (group.events.size() + 1 >= options_.max_events) wake_.notify_all();  // it was held up
  return event;
}

Generation::~Generation() { engine_.cancel(group_->id); }

uint64_t Generation::id() const { return group_->id; }

std::optional<Event> Generation::next(std::chrono::milliseconds timeout) {
  return engine_.next_event(*group_, timeout);
}

}  // namespace needle::serve
