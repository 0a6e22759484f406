// A small deterministic model, and how tests of the engine read their requests. (Lesson 07)
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "needle/serve/engine.h"

namespace needle::serve::testing {

constexpr int kEnd = 0;
/// Tokens: the end, three letters, a euro sign in two parts, and words that share letters.
inline const std::vector<std::string> kTokens = {"<end>",    "a",    "b",  "c",
                                                 "\xE2\x82", "\xAC", "ab", "bca"};

/// A model that computes its logits from the last three tokens, and lets a test look and hold.
struct FakeModel : Model {
  int context = 64;
  bool never_ends = true;
  int fault_token = -1;                                // forward() throws when it sees this token
  std::function<int(const std::vector<int>&)> script;  // if set: this token, for certain
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  mutable bool held = false;                       // forward() waits
  mutable std::vector<std::pair<int, int>> turns;  // (sequence, tokens) of every forward()
  mutable int started = 0;
  mutable std::atomic<int> alive{0};
  mutable std::atomic<int> most_alive{0};

  int vocab_size() const override { return static_cast<int>(kTokens.size()); }
  int context_length() const override { return context; }
  std::vector<int> end_tokens() const override { return {kEnd}; }
  std::unique_ptr<Sequence> start() const override;

  void hold(bool on) const {
    std::lock_guard lock(mutex);
    held = on;
    changed.notify_all();
  }
  size_t turn_count() const {
    std::lock_guard lock(mutex);
    return turns.size();
  }
  std::vector<float> logits(const std::vector<int>& tokens) const {
    std::vector<float> result(vocab_size(), -50);
    if (script) {
      result[script(tokens)] = 50;
      return result;
    }
    uint32_t hash = 2166136261u;
    for (size_t i = tokens.size() > 3 ? tokens.size() - 3 : 0; i < tokens.size(); ++i) {
      hash = (hash ^ static_cast<uint32_t>(tokens[i])) * 16777619u;
    }
    for (int i = never_ends; i < vocab_size(); ++i) {
      hash = hash * 1664525u + 1013904223u;
      result[i] = static_cast<float>(hash >> 16) / 16384;
    }
    return result;
  }
};

struct FakeSequence : Sequence {
  const FakeModel& model;
  int number;
  std::vector<int> seen;

  explicit FakeSequence(const FakeModel& m) : model(m), number(m.started++) {
    model.most_alive = std::max<int>(model.most_alive, ++model.alive);
  }
  ~FakeSequence() override { --model.alive; }

  void forward(std::span<const int> tokens, std::span<float> logits) override {
    {
      std::unique_lock lock(model.mutex);
      model.turns.emplace_back(number, tokens.size());
      model.changed.notify_all();
      // Not for ever: a test that fails must still end.
      model.changed.wait_for(lock, std::chrono::seconds(20), [&] { return !model.held; });
    }
    seen.insert(seen.end(), tokens.begin(), tokens.end());
    if (static_cast<int>(seen.size()) > model.context) throw std::logic_error("cache overflow");
    if (std::count(seen.begin(), seen.end(), model.fault_token)) throw std::runtime_error("fault");
    const auto values = model.logits(seen);
    std::copy(values.begin(), values.end(), logits.begin());
  }
};

inline std::unique_ptr<Sequence> FakeModel::start() const {
  return std::make_unique<FakeSequence>(*this);
}

inline std::string_view bytes_of(int token) { return kTokens.at(token); }

inline Request make_request(std::vector<int> prompt, int max_tokens, double temperature = 0) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = temperature;
  return request;
}

/// What a reader saw of one choice.
struct Seen {
  std::string text;
  int completion_tokens = 0;
  int finishes = 0;
  FinishReason reason = FinishReason::length;
  std::vector<TokenEntry> tokens;
};

/// Reads a request to its end. `error` is set if that is an error event.
inline std::map<int, Seen> read_all(Generation& generation, size_t choices = 1,
                                    bool* error = nullptr) {
  std::map<int, Seen> seen;
  size_t finished = 0;
  while (finished < choices) {
    const auto event = generation.next(std::chrono::seconds(10));
    if (!event) FAIL("no event within 10 s");
    if (event->kind == Event::Kind::error) {
      if (error) *error = true;
      return seen;
    }
    Seen& own = seen[event->choice];
    CHECK(own.finishes == 0);
    if (event->kind == Event::Kind::piece) CHECK(!event->text.empty());
    own.text += event->text;
    own.tokens.insert(own.tokens.end(), event->tokens.begin(), event->tokens.end());
    if (event->kind == Event::Kind::finish) {
      ++own.finishes;
      ++finished;
      own.reason = event->reason;
      own.completion_tokens = event->completion_tokens;
    }
  }
  return seen;
}

inline Seen run_alone(const FakeModel& model, Request request, EngineOptions options = {}) {
  Engine engine(model, bytes_of, options);
  std::vector<Request> choices;
  choices.push_back(std::move(request));
  return read_all(*engine.submit(std::move(choices)))[0];
}

inline std::unique_ptr<Generation> submit_one(Engine& engine, Request request) {
  std::vector<Request> choices;
  choices.push_back(std::move(request));
  return engine.submit(std::move(choices));
}

/// Waits until `condition` holds, at most 10 s.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// Oracle: tokens one by one, no engine. Greedy.
inline std::vector<int> greedy_loop(const FakeModel& model, std::vector<int> tokens, int count) {
  std::vector<int> generated;
  for (int i = 0; i < count; ++i) {
    const auto logits = model.logits(tokens);
    const int best =
        static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    tokens.push_back(best);
    generated.push_back(best);
  }
  return generated;
}

inline std::string decode(const std::vector<int>& tokens) {
  std::string bytes;
  for (int token : tokens) bytes += kTokens[token];
  Utf8Decoder decoder;
  std::string text = decoder.push(bytes);
  return text += decoder.flush();
}

}  // namespace needle::serve::testing
