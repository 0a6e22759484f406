// The pool of small objects, used by several threads.  (Lesson 03)
#include "needle/array/pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

using namespace needle;

TEST_SUITE_BEGIN("pool");

TEST_CASE("pool: blocks are apart, aligned, and may be dropped by another thread") {
  struct Made {
    unsigned char* memory;
    size_t bytes;
    unsigned char mark;
  };
  std::atomic<int> broken = 0;
  const auto make = [&](unsigned seed, size_t count) {
    std::vector<Made> made;
    for (size_t i = 0; i < count; ++i) {
      const size_t bytes = (seed * 7919 + i * 31) % 600;
      auto* memory = static_cast<unsigned char*>(pool_allocate(bytes));
      const size_t alignment = bytes && bytes % 64 == 0 && bytes <= 512 ? 64 : 16;
      broken += reinterpret_cast<uintptr_t>(memory) % alignment != 0;
      const auto mark = static_cast<unsigned char>(seed + i);
      std::fill(memory, memory + bytes, mark);
      made.push_back({memory, bytes, mark});
    }
    return made;
  };
  const auto drop = [](const std::vector<Made>& made) {
    bool intact = true;
    for (const Made& m : made) {
      intact &=
          std::all_of(m.memory, m.memory + m.bytes, [&](auto byte) { return byte == m.mark; });
      pool_release(m.memory, m.bytes);
    }
    return intact;
  };
  // Threads pass what they made on to the next one, drop what they got, and end.
  constexpr size_t kThreads = 4, kCount = 20000;
  std::vector<std::vector<Made>> made(kThreads);
  for (unsigned round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    const std::vector<std::vector<Made>> given =
        std::exchange(made, {kThreads, std::vector<Made>()});
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const std::vector<Made> own = make(round + static_cast<unsigned>(i), kCount);
        broken += !drop(given[(i + 1) % kThreads]);
        broken += !drop(own);
        made[i] = make(round, kCount);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (const std::vector<Made>& rest : made) broken += !drop(rest);
  CHECK(broken == 0);
}

TEST_SUITE_END();
