// Every defect is found, with its line; correct kernels have none; the process goes on.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "defects.h"
#include "kernels.h"
#include "memory.h"
#include "needle/backend/registry.h"
#include "textbook.h"

namespace needle::sim {
namespace {

/// Sets the options of the simulator for as long as it lives.
struct With {
  Options before = options();

  explicit With(const Options& now) { set_options(now); }
  ~With() { set_options(before); }
};

constexpr const char* kSources[] = {"races.cc", "memory_defects.cc", "sync_defects.cc"};

/// Where the source says "// HERE: name".
Location place_of(const std::string& name) {
  for (const char* source : kSources) {
    const std::string path = std::string("tests/sim/") + source;
    std::ifstream file(std::string(NEEDLE_SOURCE_ROOT) + "/" + path);
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      const auto at = line.find("// HERE: " + name);
      const auto end = at + 9 + name.size();
      if (at != line.npos && (end == line.size() || line.compare(end, 3, " //") == 0)) {
        return {path, number};
      }
    }
  }
  return {};
}

std::vector<Defect> all_defects() {
  std::vector<Defect> all;
  for (const auto& part : {races(), memory_defects(), sync_defects()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// What the launch says, or "".
std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

/// Of the process since its begin, in bytes.
int64_t peak_memory() {
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  return int64_t{used.ru_maxrss} << 10;
}

}  // namespace

TEST_SUITE_BEGIN("sim");

TEST_CASE("every planted defect is found, with its kind and line") {
  const std::vector<Defect> defects = all_defects();
  CHECK(defects.size() >= 40);
  for (const Order order : {Order::normal, Order::reversed, Order::shuffled}) {
    const With with({.check = true, .count = true, .order = order, .step_limit = 1 << 20});
    for (const Defect& defect : defects) {
      INFO(defect.name << ", order " << static_cast<int>(order));
      clear_findings();
      const std::string error = error_of(defect.run);
      INFO(error);
      const auto found = findings();
      const Location here = place_of(defect.name);
      if (defect.name != "stack used up") REQUIRE(here.line > 0);
      const bool is_there = std::ranges::any_of(found, [&](const Finding& f) {
        return f.kind == defect.kind && (f.at == here || f.other == here || here.line == 0);
      });
      CHECK(is_there);
      CHECK(error.find(name_of(defect.kind)) != error.npos);
      // Nothing else is found: it would lead astray.
      for (const Finding& other : found) {
        CAPTURE(other.text);
        CHECK(other.kind == defect.kind);
      }
    }
  }
}

TEST_CASE(
    "without checks, what a kernel waits for in vain still ends the launch, not the process") {
  const With with({.step_limit = 1 << 22});
  for (const Defect& defect : sync_defects()) {
    CAPTURE(defect.name);
    CHECK(error_of(defect.run).find(name_of(defect.kind)) != std::string::npos);
  }
  for (const Defect& defect : memory_defects()) {
    if (defect.name != "null pointer" && defect.name != "misaligned float4") continue;
    CAPTURE(defect.name);
    CHECK(error_of(defect.run).find("crash") != std::string::npos);
  }
}

TEST_CASE("an endless kernel does not use up the memory before it is stopped") {
  const With with({.check = true, .count = true, .step_limit = 1 << 24});
  const int64_t before = peak_memory();
  for (const Defect& defect : sync_defects()) {
    if (defect.kind != Kind::endless) continue;
    CAPTURE(defect.name);
    CHECK(error_of(defect.run).find("endless") != std::string::npos);
  }
  CHECK(peak_memory() - before < 64 << 20);
}

TEST_CASE("a long kernel of many threads does not look endless") {
  const int n = 10000;  // rounds of 64 threads: more steps in all than may pass without progress
  Array<float> x(1024, 1), out(64);
  for (const bool watched : {false, true}) {
    CAPTURE(watched);
    const With with({.check = watched, .count = watched, .step_limit = 1 << 18});
    CHECK(error_of([&] { textbook::long_loops(x.data(), out.data(), n); }) == "");
    CHECK(out[1] == n);
  }
}

TEST_CASE("defects that results do not reveal, in any order of the threads") {
  const int before = num_threads();
  set_num_threads(1);  // with more, blocks run at the same time
  for (const Order order : {Order::normal, Order::reversed, Order::shuffled}) {
    const With with({.order = order});
    for (const Defect& defect : all_defects()) {
      if (!defect.is_hidden || defect.kind == Kind::freed) continue;
      CAPTURE(defect.name);
      CHECK(error_of(defect.run) == "");
    }
  }
  set_num_threads(before);
}

TEST_CASE("nothing is found in correct kernels") {
  for (const Order order : {Order::normal, Order::reversed, Order::shuffled}) {
    const With with({.check = true, .count = true, .collect = true, .order = order});
    clear_findings();
    kernels::run_all();
    for (const Finding& finding : findings()) FAIL_CHECK(finding.text);
  }
}

TEST_SUITE_END();

}  // namespace needle::sim
