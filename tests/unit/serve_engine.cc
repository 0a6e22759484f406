// Engine: turns, queue, cancellation, faults and drain, on a fake model. (Lesson 07)
#include <random>

#include "tests/unit/serve_fake_model.h"

namespace needle::serve {

using namespace testing;
using namespace std::chrono_literals;

TEST_SUITE_BEGIN("serve_engine");

TEST_CASE("running requests take turns; a long prompt stalls nobody") {
  FakeModel model;
  model.context = 1000;
  model.held = true;
  EngineOptions options;
  options.prefill_chunk = 10;
  Engine engine(model, bytes_of, options);
  auto a = submit_one(engine, make_request({1}, 20));
  auto b = submit_one(engine, make_request({2}, 20));
  auto c = submit_one(engine, make_request(std::vector<int>(200, 3), 5));  // 20 chunks
  model.hold(false);
  for (auto* generation : {&a, &b, &c}) read_all(**generation);

  const auto& turns = model.turns;
  std::map<int, int> computed;
  for (const auto& [sequence, tokens] : turns) {
    CHECK(tokens <= 10);
    computed[sequence] += tokens;
  }
  CHECK(computed[0] == 20);  // the prompt's token and 19 of 20 generated
  CHECK(computed[2] == 204);
  // Once all three run, any three turns in a row belong to three requests.
  for (size_t i = 3; i + 3 <= 57; ++i) {
    CAPTURE(i);
    CHECK(turns[i].first != turns[i + 1].first);
    CHECK(turns[i].first != turns[i + 2].first);
    CHECK(turns[i + 1].first != turns[i + 2].first);
  }
}

TEST_CASE("at most max_running sequences, started in the order of arrival") {
  const FakeModel model;
  EngineOptions options;
  options.max_running = 2;
  Engine engine(model, bytes_of, options);
  std::vector<std::unique_ptr<Generation>> generations;
  for (int i = 0; i < 10; ++i)
    generations.push_back(submit_one(engine, make_request({1}, 3 + i % 4)));
  for (auto& generation : generations) read_all(*generation);
  CHECK(model.most_alive <= 2);
  CHECK(model.started == 10);
  CHECK(eventually([&] { return model.alive == 0; }));
  int newest = -1;  // sequences are numbered as they start; a new one starts only after the older
  for (const auto& [sequence, tokens] : model.turns) {
    CHECK(sequence <= newest + 1);
    newest = std::max(newest, sequence);
  }
}

TEST_CASE("the queue is bounded: all choices of a request or none") {
  FakeModel model;
  model.held = true;
  EngineOptions options;
  options.max_running = 1;
  options.max_queue = 3;
  Engine engine(model, bytes_of, options);
  auto running = submit_one(engine, make_request({1}, 2));
  REQUIRE(eventually([&] { return engine.stats().running == 1; }));
  auto two = engine.submit(std::vector<Request>(2, make_request({1}, 2)));
  CHECK_THROWS_AS(engine.submit(std::vector<Request>(2, make_request({1}, 2))), Refused);
  CHECK(engine.stats().waiting == 2);
  auto third = submit_one(engine, make_request({1}, 2));
  CHECK_THROWS_AS(submit_one(engine, make_request({1}, 2)), Refused);
  try {
    submit_one(engine, make_request({1}, 2));
  } catch (const Refused& refusal) {
    CHECK(refusal.reason == Refused::Reason::queue_full);
  }
  model.hold(false);
  read_all(*running);
  read_all(*two, 2);
  read_all(*third);
  REQUIRE(eventually([&] { return engine.stats().waiting + engine.stats().running == 0; }));
  auto large = engine.submit(std::vector<Request>(9, make_request({1}, 2)));  // the queue is empty
  CHECK(read_all(*large, 9).size() == 9);
}

TEST_CASE("the queue is bounded by prompt tokens too") {
  FakeModel model;
  model.held = true;
  EngineOptions options;
  options.max_running = 1;
  options.max_queued_tokens = 100;
  Engine engine(model, bytes_of, options);
  auto running = submit_one(engine, make_request({1}, 2));
  REQUIRE(eventually([&] { return engine.stats().running == 1; }));
  auto first = submit_one(engine, make_request(std::vector<int>(60, 1), 2));
  CHECK_THROWS_AS(submit_one(engine, make_request(std::vector<int>(60, 1), 2)), Refused);
  engine.cancel(first->id());
  model.hold(false);
  REQUIRE(eventually([&] { return engine.stats().waiting + engine.stats().running == 0; }));
  // The cancelled tokens are no longer counted, also where somebody else waits.
  model.hold(true);
  auto blocker = submit_one(engine, make_request({1}, 2));
  REQUIRE(eventually([&] { return engine.stats().running == 1; }));
  auto small = submit_one(engine, make_request({1}, 2));
  auto second = submit_one(engine, make_request(std::vector<int>(60, 1), 2));
  model.hold(false);
  CHECK(read_all(*second)[0].finishes == 1);
}

TEST_CASE("cancel works in every state and touches one request only") {
  FakeModel model;
  model.context = 1 << 24;
  EngineOptions options;
  options.max_running = 2;
  options.max_events = 1 << 24;
  Engine engine(model, bytes_of, options);
  auto in_turn = submit_one(engine, make_request({1}, 1 << 23));
  auto between_turns = submit_one(engine, make_request({2}, 1 << 23));
  REQUIRE(eventually([&] { return engine.stats().running == 2; }));
  model.hold(true);  // one of the two stays in its turn
  auto waiting = submit_one(engine, make_request({3}, 30));
  auto other = submit_one(engine, make_request({1, 2}, 5));
  CHECK(engine.stats().waiting == 2);

  for (auto* generation : {&in_turn, &between_turns, &waiting}) {
    CHECK(engine.cancel((*generation)->id()));
    CHECK_FALSE(engine.cancel((*generation)->id()));
    bool error = false;
    read_all(**generation, 1, &error);
    CHECK(error);
    CHECK_FALSE((*generation)->next(0ms));
  }
  model.hold(false);
  CHECK(read_all(*other)[0].completion_tokens == 5);
  CHECK_FALSE(engine.cancel(other->id()));  // finished
  CHECK_FALSE(engine.cancel(123456));
  CHECK(eventually([&] { return model.alive == 0 && engine.stats().running == 0; }));
  CHECK(model.started <= 3);  // the waiting one never began
}

TEST_CASE("a reader that goes away cancels its request, prompt half done or not") {
  FakeModel model;
  model.context = 100000;
  EngineOptions options;
  options.prefill_chunk = 1;
  Engine engine(model, bytes_of, options);
  auto generation = submit_one(engine, make_request(std::vector<int>(90000, 1), 10));
  REQUIRE(eventually([&] { return model.turn_count() > 10; }));
  generation.reset();
  CHECK(eventually([&] { return model.alive == 0 && engine.stats().running == 0; }));
  CHECK(model.turn_count() < 90000);
}

TEST_CASE("an exception of the model ends one request; the engine lives on") {
  FakeModel model;
  model.fault_token = 7;
  EngineOptions options;
  std::atomic<int> logged = 0;
  options.log = [&](const std::string& line) { logged += line.find("fault") != std::string::npos; };
  Engine engine(model, bytes_of, options);
  model.script = [](const auto&) { return 1; };
  auto good = submit_one(engine, make_request({1}, 30));
  auto mixed = engine.submit({make_request({1}, 30), make_request({7}, 30)});
  bool error = false;
  read_all(*mixed, 2, &error);
  CHECK(error);
  CHECK(read_all(*good)[0].completion_tokens == 30);
  CHECK(read_all(*submit_one(engine, make_request({2}, 3)))[0].completion_tokens == 3);
  CHECK(logged == 1);
  CHECK(eventually([&] { return model.alive == 0; }));
}

TEST_CASE("requests that can never run are refused") {
  FakeModel model;
  model.context = 8;
  Engine engine(model, bytes_of);
  CHECK_THROWS_AS(submit_one(engine, make_request({}, 3)), std::invalid_argument);
  CHECK_THROWS_AS(submit_one(engine, make_request({1}, 0)), std::invalid_argument);
  CHECK_THROWS_AS(submit_one(engine, make_request(std::vector<int>(8, 1), 3)),
                  std::invalid_argument);
  CHECK_THROWS_AS(engine.submit({}), std::invalid_argument);
  const Seen seen = read_all(*submit_one(engine, make_request(std::vector<int>(7, 1), 3)))[0];
  CHECK(seen.completion_tokens == 1);  // the ceiling
  CHECK(seen.reason == FinishReason::length);
}

TEST_CASE("drain refuses new requests and finishes all that were admitted") {
  FakeModel model;
  model.held = true;
  EngineOptions options;
  options.max_running = 1;
  Engine engine(model, bytes_of, options);
  auto first = submit_one(engine, make_request({1}, 10));
  auto second = submit_one(engine, make_request({2}, 10));
  engine.drain();
  CHECK_THROWS_AS(submit_one(engine, make_request({1}, 1)), Refused);
  CHECK(engine.stats().draining);
  model.hold(false);
  CHECK(read_all(*first)[0].completion_tokens == 10);
  CHECK(read_all(*second)[0].completion_tokens == 10);
}

TEST_CASE("a fault of the engine itself leaves nobody waiting") {
  FakeModel model;
  model.fault_token = 7;
  model.held = true;
  EngineOptions options;
  options.max_running = 2;
  options.log = [](const std::string&) { throw std::runtime_error("no memory, say"); };
  Engine engine(model, bytes_of, options);
  std::vector<std::unique_ptr<Generation>> generations;
  for (int first : {7, 1, 2}) generations.push_back(submit_one(engine, make_request({first}, 50)));
  model.hold(false);
  for (auto& generation : generations) {
    bool error = false;
    read_all(*generation, 1, &error);
    CHECK(error);
  }
  REQUIRE(eventually([&] { return engine.stats().dead; }));
  CHECK(engine.stats().running + engine.stats().waiting == 0);
  CHECK(model.alive == 0);
  try {
    submit_one(engine, make_request({1}, 1));
    FAIL("a dead engine took a request");
  } catch (const Refused& refusal) {
    CHECK(refusal.reason == Refused::Reason::dead);
  }
}

TEST_CASE("a slow reader loses turns, not text, and holds up nobody") {
  FakeModel model;
  model.context = 2000;
  model.script = [](const auto&) { return 1; };
  EngineOptions options;
  options.max_events = 4;
  Engine engine(model, bytes_of, options);
  auto slow = submit_one(engine, make_request({1}, 500));
  auto fast = submit_one(engine, make_request({2}, 500));
  CHECK(read_all(*fast)[0].completion_tokens == 500);
  std::this_thread::sleep_for(20ms);
  CHECK(engine.stats().running == 1);
  CHECK(model.turn_count() <= 500 + 4);
  CHECK(read_all(*slow)[0].text == std::string(500, 'a'));
}

TEST_CASE("many threads submit, read and cancel; nothing is left over") {
  const FakeModel model;
  EngineOptions options;
  options.max_running = 3;
  options.max_queue = 8;
  options.max_events = 2;
  Engine engine(model, bytes_of, options);
  std::atomic<int> finished = 0, refused = 0, cancelled = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 60; ++i) {
        try {
          const size_t n = 1 + random() % 3;
          auto generation =
              engine.submit(std::vector<Request>(n, make_request({1, 2}, 1 + random() % 20)));
          if (random() % 3 == 0) {
            generation->next(1ms);
            ++cancelled;
          } else {
            finished += static_cast<int>(read_all(*generation, n).size() == n);
          }
        } catch (const Refused&) {
          ++refused;
          std::this_thread::yield();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(finished + refused + cancelled == 360);
  CHECK(finished > 0);
  CHECK(cancelled > 0);
  CHECK(eventually([&] { return engine.stats().running + engine.stats().waiting == 0; }));
  CHECK(eventually([&] { return model.alive == 0; }));
}

TEST_SUITE_END();

}  // namespace needle::serve
