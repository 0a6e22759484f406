// The limits of this machine, measured; the sizes of its caches, asked for.  (Lesson 04)
#include "needle/backend/machine.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "needle/array/error.h"
#include "needle/backend/cpu/cpu.h"
#include "needle/backend/cpu/parallel.h"
#include "needle/backend/cpu/probes.h"
#include "needle/backend/registry.h"

namespace needle {
namespace {

/// "512K" -> 524288; 0 if it is no size.
int64_t bytes_of(const std::string& text) {
  char* end = nullptr;
  const int64_t n = std::strtoll(text.c_str(), &end, 10);
  const std::string unit(end);
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  return n > 0 && n < (int64_t{1} << 31) && shift >= 0 ? n << shift : 0;
}

/// What Linux says about the caches of the first core.
Caches from_system() {
  Caches found{int64_t{32} << 10, int64_t{512} << 10, int64_t{8} << 20};
  for (int index = 0; index < 8; ++index) {
    const std::string folder = str("/sys/devices/system/cpu/cpu0/cache/index", index, "/");
    const auto read = [&](const char* name) {
      std::string word;
      std::ifstream(folder + name) >> word;
      return word;
    };
    const std::string level = read("level");
    const int64_t size = bytes_of(read("size"));
    if (level.empty() || size == 0 || read("type") == "Instruction") continue;
    if (level == "1") found.l1 = size;
    if (level == "2") found.l2 = size;
    if (level == "3") found.l3 = size;
  }
  return found;
}

Caches find_caches() {
  const char* forced = std::getenv("NEEDLE_CACHES");
  if (!forced || !*forced) return from_system();
  const std::string text(forced);
  const size_t first = text.find(','), second = text.find(',', first + 1);
  Caches said{};
  if (second != std::string::npos) {
    said = {bytes_of(text.substr(0, first)), bytes_of(text.substr(first + 1, second - first - 1)),
            bytes_of(text.substr(second + 1))};
  }
  if (said.l1 == 0 || said.l2 == 0 || said.l3 == 0) {
    throw ValueError(str("NEEDLE_CACHES=", text, ": three sizes are expected, as in 32K,512K,8M"));
  }
  return said;
}

/// The most of `amount` that work(share), run by `threads` threads at once, does in a second: the
/// best of five tries of about 10 ms. work takes how often to repeat, and which thread it is.
template <class Work>
double best_rate(int threads, double amount, Work&& work) {
  using Clock = std::chrono::steady_clock;
  const int before = num_threads();
  set_num_threads(threads);
  const auto seconds = [&](int64_t repeats) {
    const auto start = Clock::now();
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) work(repeats, t);
    });
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  int64_t repeats = 1;
  double once = seconds(1);
  while (once < 0.005) once = seconds(repeats *= 2);
  double best = 0;
  for (int turn = 0; turn < 5; ++turn) {
    best =
        std::max(best, amount * static_cast<double>(repeats * threads) / seconds(2 * repeats) * 2);
  }
  set_num_threads(before);
  return best;
}

void check_threads(const char* function, int threads) {
  if (threads < 1) throw ValueError(str(function, ": ", threads, " threads is less than 1"));
}

using Buffer = std::unique_ptr<float, decltype(&std::free)>;

Buffer buffer_of(int64_t bytes) {
  Buffer memory(static_cast<float*>(std::aligned_alloc(4096, static_cast<size_t>(bytes))),
                &std::free);
  if (!memory) throw std::bad_alloc();
  std::memset(memory.get(), 0, static_cast<size_t>(bytes));
  return memory;
}

/// Each thread's share of one of `buffers` buffers, in whole pages.
int64_t share_of(const char* function, int64_t bytes, int threads, int buffers) {
  check_threads(function, threads);
  const int64_t share = bytes / buffers / threads / 4096 * 4096;
  if (share <= 0) {
    throw ValueError(str(function, ": ", bytes, " bytes are too few for ", threads,
                         threads == 1 ? " thread" : " threads", "; at least ",
                         int64_t{4096} * buffers * threads, " are needed"));
  }
  return share;
}

volatile double sink;  // what is written here has been computed

}  // namespace

const Caches& caches() {
  static const Caches found = find_caches();
  return found;
}

double fma_peak(DType dtype, int threads) {
  check_threads("fma_peak", threads);
  if (!is_floating(dtype)) throw TypeError(str("fma_peak: ", dtype, " is not a floating dtype"));
  const Probes& p = cpu_probes();
  const bool single = dtype == DType::float32;
  const auto run = single ? p.multiply_adds32 : p.multiply_adds64;
  constexpr int64_t kRounds = 1000;
  return best_rate(threads, static_cast<double>((single ? p.flops32 : p.flops64) * kRounds),
                   [&](int64_t repeats, int64_t) { sink = run(repeats * kRounds); });
}

double copy_bandwidth(int64_t bytes, int threads) {
  const int64_t share = share_of("copy_bandwidth", bytes, threads, 2);
  const Buffer from = buffer_of(share * threads), to = buffer_of(share * threads);
  return best_rate(threads, static_cast<double>(2 * share), [&](int64_t repeats, int64_t thread) {
    const int64_t start = thread * share / static_cast<int64_t>(sizeof(float));
    for (int64_t r = 0; r < repeats; ++r) {
      std::memcpy(to.get() + start, from.get() + start, static_cast<size_t>(share));
      sink = static_cast<double>(to.get()[start]);
    }
  });
}

double read_bandwidth(int64_t bytes, int threads) {
  const int64_t share = share_of("read_bandwidth", bytes, threads, 1);
  const Buffer from = buffer_of(share * threads);
  const Probes& p = cpu_probes();
  return best_rate(threads, static_cast<double>(share), [&](int64_t repeats, int64_t thread) {
    const int64_t n = share / static_cast<int64_t>(sizeof(float));
    for (int64_t r = 0; r < repeats; ++r) sink = p.read(from.get() + thread * n, n);
  });
}

std::vector<std::pair<int64_t, int64_t>> loop_pieces(int64_t n, int64_t grain, bool nested) {
  std::vector<std::pair<int64_t, int64_t>> found;
  std::mutex mutex;
  const auto record = [&] {
    parallel_for(n, grain, [&](int64_t begin, int64_t end) {
      const std::lock_guard lock(mutex);
      found.emplace_back(begin, end);
    });
  };
  if (nested) {
    parallel_for(2, 1, [&](int64_t begin, int64_t) {
      if (begin == 0) record();
    });
  } else {
    record();
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace needle
