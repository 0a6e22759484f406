// What the programs of the lessons share: a check that throws, and a clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <source_location>
#include <sstream>
#include <stdexcept>

namespace lesson {

/// Throws, naming file and line, unless `ok`. A lesson whose claim is wrong ends with an error.
inline void check(bool ok, std::source_location where = std::source_location::current()) {
  if (ok) return;
  std::ostringstream message;
  message << where.file_name() << ":" << where.line() << ": this claim of the lesson is wrong";
  throw std::logic_error(message.str());
}

/// The shortest of `repeats` runs of f(), in seconds: the others were disturbed by something.
template <class F>
double seconds(int repeats, F&& f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace lesson
