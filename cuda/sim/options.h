// What the simulator shall do beside running kernels.  (Lesson 04)
#pragma once

#include <cstdint>

namespace needle::sim {

/// In which order the threads of a block (and the blocks, if traced) take their turns. A kernel
/// whose result depends on it has a race.
enum class Order : uint8_t { normal, reversed, shuffled };

struct Options {
  /// Watch every access: find races, accesses outside of memory, and what else goes wrong.
  bool check = false;
  /// Count sectors, bank conflicts and so on. Both make a kernel some twenty times slower.
  bool count = false;
  /// Keep what is found for findings(), and let the program go on; else the launch throws.
  bool collect = false;
  Order order = Order::normal;
  uint64_t seed = 0;  // of Order::shuffled
  /// Basic blocks that a block may go through without any thread getting further; then the kernel is
  /// stopped as endless. If it is watched, half as many come before, in which threads take turns.
  uint64_t step_limit = uint64_t{1} << 27;
};

/// Those of the next launches. At first what the environment variable NEEDLE_SIM says, a list of
/// check, count, collect, reversed, shuffled, step_limit=N with commas between; ValueError if it says
/// something else.
Options options();
void set_options(const Options& options);

}  // namespace needle::sim
