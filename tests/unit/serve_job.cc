// One choice of a request: tokens, text, log-probabilities, on a fake model. (Lesson 07)
#include "tests/unit/serve_fake_model.h"

namespace needle::serve {

using namespace testing;

TEST_SUITE_BEGIN("serve_job");
TEST_CASE("greedy equals a plain loop, for every chunk size") {
  const FakeModel model;
  const std::vector<int> prompt = {1, 2, 3, 1, 1, 2, 5, 6, 7, 3, 2};
  const std::string expected = decode(greedy_loop(model, prompt, 20));
  for (int chunk : {1, 2, 3, 5, 10, 11, 12, 100}) {
    CAPTURE(chunk);
    EngineOptions options;
    options.prefill_chunk = chunk;
    const Seen seen = run_alone(model, make_request(prompt, 20), options);
    CHECK(seen.text == expected);
    CHECK(seen.completion_tokens == 20);
    CHECK(seen.reason == FinishReason::length);
  }
}

TEST_CASE("a seed gives the same text alone and in company; choices differ") {
  const FakeModel model;
  Request request = make_request({1, 2}, 30, 1.0);
  request.sampling.seed = 42;
  const std::string alone = run_alone(model, request).text;

  Engine engine(model, bytes_of);
  std::vector<std::unique_ptr<Generation>> company;
  for (int i = 0; i < 5; ++i) company.push_back(submit_one(engine, make_request({3, i}, 40, 1.5)));
  std::vector<Request> choices(3, request);
  for (uint32_t i = 0; i < 3; ++i) choices[i].random_stream = i;
  auto seen = read_all(*engine.submit(choices), 3);
  CHECK(seen[0].text == alone);
  CHECK(seen[1].text != alone);
  CHECK(seen[2].text != seen[1].text);
  for (auto& generation : company) CHECK(read_all(*generation)[0].completion_tokens == 40);
}

TEST_CASE("the text ends at end tokens, stop strings and limits") {
  FakeModel model;
  const std::vector<int> output = {1, 4, 5, 2, 3, kEnd, 1};  // a € b c <end>
  model.script = [&](const auto& tokens) { return output.at(tokens.size() - 1); };
  Request request = make_request({1}, 60);
  Seen seen = run_alone(model, request);
  CHECK(seen.text ==
        "a\xE2\x82\xAC"
        "bc");
  CHECK(seen.reason == FinishReason::stop);
  CHECK(seen.completion_tokens == 6);

  request.stop = {
      "\xE2\x82\xAC"
      "b",
      "zz"};
  seen = run_alone(model, request);
  CHECK(seen.text == "a");
  CHECK(seen.reason == FinishReason::stop);
  CHECK(seen.completion_tokens == 4);

  request.stop = {"bcd"};  // held back, then let go
  CHECK(run_alone(model, request).text ==
        "a\xE2\x82\xAC"
        "bc");

  request.stop = {"\xEF\xBF\xBD"};  // what the cut character becomes at the end
  request.max_tokens = 2;
  seen = run_alone(model, request);
  CHECK(seen.text == "a");
  CHECK(seen.reason == FinishReason::stop);

  request.stop = {};
  seen = run_alone(model, request);
  CHECK(seen.text == "a\xEF\xBF\xBD");
  CHECK(seen.reason == FinishReason::length);
}

TEST_CASE("echo and log-probabilities cover prompt and output") {
  const FakeModel model;
  Request request = make_request({1, 4, 5, 6, 2}, 6, 1.0);
  request.echo = true;
  request.sampling.logprobs = 2;
  EngineOptions options;
  options.prefill_chunk = 3;
  const Seen seen = run_alone(model, request, options);
  Request plain = request;
  plain.echo = false;
  plain.sampling.logprobs = -1;
  CHECK(seen.text ==
        "a\xE2\x82\xAC"
        "abb" +
            run_alone(model, plain).text);
  REQUIRE(seen.tokens.size() == 11);
  CHECK_FALSE(seen.tokens[0].has_logprob);
  CHECK(seen.tokens[2].text_offset == 1);  // the second part of the euro sign
  CHECK(seen.tokens[3].text_offset == 2);

  std::vector<int> tokens;
  for (const TokenEntry& entry : seen.tokens) {
    const int token = entry.logprob.token;
    if (!tokens.empty()) {
      const auto oracle = log_probability(model.logits(tokens), token, 2);
      CHECK(entry.has_logprob);
      CHECK(entry.logprob.logprob == oracle.logprob);
      CHECK(entry.logprob.top == oracle.top);
    }
    tokens.push_back(token);
  }
  CHECK(decode(tokens) == seen.text);
}

TEST_CASE("penalties count generated tokens") {
  FakeModel model;
  model.script = [](const auto&) { return 1; };
  Request request = make_request({1}, 4);
  request.sampling.logit_bias = {{2, 99.5}};  // a has 50, b has 49.5
  CHECK(run_alone(model, request).text == "aaaa");
  request.sampling.presence_penalty = 1;
  CHECK(run_alone(model, request).text == "abaa");
  request.sampling.presence_penalty = 0;
  request.sampling.frequency_penalty = 1;
  CHECK(run_alone(model, request).text == "abab");
}

TEST_SUITE_END();

}  // namespace needle::serve
