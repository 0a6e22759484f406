// Sampler: distributions by chi-square, truncation and penalties by oracles. (Lesson 07)
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

#include "needle/serve/sampler.h"

namespace needle::serve {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

int sample_at(const std::vector<float>& logits, const SamplingParams& params, double uniform) {
  Sampler sampler;
  return sampler.sample(logits, params, TokenHistory(), uniform);
}

/// How often each token comes out of `draws` draws with the engine's own random stream.
std::vector<int> histogram(const std::vector<float>& logits, const SamplingParams& params,
                           int draws) {
  Sampler sampler;
  std::vector<int> counts(logits.size());
  for (int step = 0; step < draws; ++step) {
    ++counts[sampler.sample(logits, params, TokenHistory(), random_uniform(params.seed, 3, step))];
  }
  return counts;
}

/// Oracle: softmax at a temperature in long double, cut to `keep`, renormalised.
std::vector<double> expected(const std::vector<float>& logits, double temperature,
                             const std::set<int>& keep) {
  std::vector<long double> weights(logits.size());
  long double sum = 0;
  for (int id : keep)
    sum += weights[id] = std::exp(static_cast<long double>(logits[id]) / temperature);
  std::vector<double> probabilities;
  for (long double weight : weights) probabilities.push_back(static_cast<double>(weight / sum));
  return probabilities;
}

/// Pearson's statistic over the possible tokens; impossible ones must not have been drawn.
double chi_square(const std::vector<int>& counts, const std::vector<double>& probabilities) {
  const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    CAPTURE(i);
    if (probabilities[i] == 0) {
      CHECK(counts[i] == 0);
      continue;
    }
    const double mean = draws * probabilities[i];
    sum += (counts[i] - mean) * (counts[i] - mean) / mean;
  }
  return sum;
}

const std::vector<float> kLogits = {1.0f, 0.2f, -0.5f, 2.0f, 0.9f, -kInf, 1.4f, -2.0f};
const std::set<int> kPossible = {0, 1, 2, 3, 4, 6, 7};
constexpr int kDraws = 50000;

}  // namespace

TEST_SUITE_BEGIN("serve_sampler");

TEST_CASE("greedy takes the largest logit and the lowest id on a tie") {
  SamplingParams greedy;
  greedy.temperature = 0;
  CHECK(sample_at({0, 3, 1, 3, 3}, greedy, 0.99) == 1);
  CHECK(sample_at({-kInf, -5, -kInf}, greedy, 0) == 1);
}

TEST_CASE("samples follow the softmax at each temperature") {
  for (double temperature : {0.3, 1.0, 2.0}) {
    CAPTURE(temperature);
    SamplingParams params;
    params.temperature = temperature;
    params.seed = 7;
    const auto counts = histogram(kLogits, params, kDraws);
    // 6 degrees of freedom: 22.5 is exceeded once in 1000.
    CHECK(chi_square(counts, expected(kLogits, temperature, kPossible)) < 22.5);
  }
}

TEST_CASE("top_k, top_p and min_p keep the documented sets and renormalise") {
  // Probabilities at temperature 1: token 3 .388, 6 .213, 0 .143, 4 .129, 1 .064, 2 .032, 7 .007.
  struct Case {
    int top_k;
    double top_p, min_p;
    std::set<int> keep;
  };
  const std::vector<Case> cases = {
      {1, 1, 0, {3}},         {3, 1, 0, {3, 6, 0}},      {100, 1, 0, kPossible},
      {0, 0.38, 0, {3}},      {0, 0.55, 0, {3, 6}},      {0, 0.86, 0, {3, 6, 0, 4}},
      {0, 1e-9, 0, {3}},      {0, 1, 0.3, {3, 6, 0, 4}}, {0, 1, 1, {3}},
      {3, 0.7, 0, {3, 6}},  // of what top_k left, .521 + .287 reach .7
      {4, 0.95, 0.5, {3, 6}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.top_k);
    CAPTURE(c.top_p);
    CAPTURE(c.min_p);
    SamplingParams params;
    params.top_k = c.top_k;
    params.top_p = c.top_p;
    params.min_p = c.min_p;
    params.seed = 11;
    const auto counts = histogram(kLogits, params, kDraws);
    CHECK(chi_square(counts, expected(kLogits, 1, c.keep)) < 22.5);
  }
}

TEST_CASE("a tie at the edge of top_k keeps the lower id") {
  SamplingParams params;
  params.top_k = 2;
  for (double uniform : {0.0, 0.3, 0.6, 0.999999}) {
    CHECK(sample_at({1, 1, 1, 1}, params, uniform) <= 1);
  }
}

TEST_CASE("every uniform number gives a possible token") {
  std::vector<float> logits(1000, -kInf);
  logits[17] = 3;
  logits[400] = -90;
  SamplingParams params;
  for (double temperature : {1e-300, 1e-6, 0.01, 2.0}) {
    params.temperature = temperature;
    for (double uniform : {0.0, 0.5, 1 - 0x1p-53}) {
      const int token = sample_at(logits, params, uniform);
      CHECK((token == 17 || token == 400));
    }
  }
}

TEST_CASE("penalties and bias change the logits as documented") {
  TokenHistory history;
  const std::vector<int> prompt = {0, 1};
  history.add_prompt(prompt);
  history.add_generated(1);
  history.add_generated(1);
  history.add_generated(2);
  SamplingParams params;
  params.repetition_penalty = 2;
  params.presence_penalty = 0.5;
  params.frequency_penalty = 0.25;
  std::vector<float> logits = {4, -1, 3, 5};
  history.penalize(params, logits);
  CHECK(logits[0] == 2.0f);   // in the prompt only: repetition
  CHECK(logits[1] == -3.0f);  // -1 * 2 - 0.5 - 2 * 0.25
  CHECK(logits[2] == 0.75f);  // 3 / 2 - 0.5 - 0.25
  CHECK(logits[3] == 5.0f);

  Sampler sampler;
  SamplingParams biased;
  biased.temperature = 0;
  biased.logit_bias = {{2, 100}, {0, -100}};
  CHECK(sampler.sample(std::vector<float>{9, 1, 0}, biased, history, 0.5) == 2);
}

TEST_CASE("the random stream depends on seed, choice and step, and is uniform") {
  CHECK(random_uniform(1, 2, 3) == random_uniform(1, 2, 3));
  CHECK(random_uniform(1, 2, 3) != random_uniform(2, 2, 3));
  CHECK(random_uniform(1, 2, 3) != random_uniform(1, 3, 3));
  CHECK(random_uniform(1, 2, 3) != random_uniform(1, 2, 4));
  std::vector<int> bins(64);
  for (uint32_t step = 0; step < 64000; ++step) ++bins[random_uniform(5, 0, step) * 64];
  // 63 degrees of freedom: 103.4 is exceeded once in 1000.
  CHECK(chi_square(bins, std::vector<double>(64, 1.0 / 64)) < 103.4);
  for (uint32_t choice = 0; choice < 100; ++choice) {
    const double number = random_uniform(9, choice, 0);
    CHECK((number >= 0 && number < 1));
  }
}

TEST_CASE("log-probabilities are the log-softmax, sorted, and never below the floor") {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(300);
  for (float& logit : logits) logit = normal(random);
  logits[5] = -kInf;
  long double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<long double>(logit));
  const auto result = log_probability(logits, 8, 5);
  CHECK(result.logprob == doctest::Approx(static_cast<double>(logits[8] - std::log(sum))));
  REQUIRE(result.top.size() == 5);
  for (int i = 0; i < 5; ++i) {
    // Oracle: as many logits are larger as the rank says.
    const float own = logits[result.top[i].first];
    CHECK(std::count_if(logits.begin(), logits.end(), [&](float x) { return x > own; }) == i);
    CHECK(result.top[i].second == doctest::Approx(static_cast<double>(own - std::log(sum))));
  }
  CHECK(log_probability(logits, 5, 0).logprob == kLowestLogprob);
  CHECK(log_probability(std::vector<float>{0}, 0, 20).top.size() == 1);
  CHECK(log_probability(std::vector<float>{2, 2, 2}, 2, 2).top[1].first == 1);
}

TEST_CASE("logits that are no numbers are refused") {
  const SamplingParams params;
  CHECK_THROWS_AS(sample_at({1, NAN, 2}, params, 0.5), std::runtime_error);
  CHECK_THROWS_AS(sample_at({NAN, 1}, params, 0.5), std::runtime_error);
  CHECK_THROWS_AS(sample_at({1, kInf}, params, 0.5), std::runtime_error);
  CHECK_THROWS_AS(sample_at({-kInf, -kInf}, params, 0.5), std::runtime_error);
  CHECK_THROWS_AS(sample_at({}, params, 0.5), std::runtime_error);
}

TEST_SUITE_END();

}  // namespace needle::serve
