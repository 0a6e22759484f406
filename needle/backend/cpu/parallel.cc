// Threads and scratch memory.  (Lesson 04)
//
// oneTBB, not OpenMP: there the end of every loop waits until all threads of the team have come by.
// On a machine that has other things to do, a thread that is not running then holds up the others
// for a whole time slice, hundreds of times a second: beside busy compilers a training step took
// more than ten times as long. Here a piece that no thread has picked up is done by the caller.
#include "needle/backend/cpu/parallel.h"

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>

#include "needle/array/error.h"
#include "needle/backend/registry.h"

namespace needle {
namespace {

std::atomic<int>& thread_setting() {
  static std::atomic<int> threads = std::max(1, tbb::this_task_arena::max_concurrency());
  return threads;
}

/// The arena that all callers share: however many threads call, no more than num_threads() work.
std::shared_ptr<tbb::task_arena> shared_arena(int threads) {
  static std::mutex mutex;
  static std::shared_ptr<tbb::task_arena> arena;
  const std::lock_guard lock(mutex);
  if (!arena || arena->max_concurrency() != threads) {
    arena = std::make_shared<tbb::task_arena>(threads);
  }
  return arena;
}

/// Stores past the caches (stream.h) are seen by others in any order, but for this.
void order_stores() {
#ifdef __SSE2__
  __builtin_ia32_sfence();
#endif
}

thread_local bool inside_piece = false;

/// Marks this thread as inside a piece, also if the piece throws.
struct Inside {
  Inside() { inside_piece = true; }
  ~Inside() { inside_piece = false; }
};

}  // namespace

int num_threads() { return thread_setting(); }

void set_num_threads(int threads) {
  if (threads < 1) throw ValueError(str("set_num_threads: ", threads, " is less than 1"));
  thread_setting() = threads;
}

int64_t max_pieces() { return inside_piece ? 1 : num_threads(); }

void run_parallel(int64_t n, int64_t grain, RangeBody body, void* context) {
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / std::max<int64_t>(grain, 1));
  if (pieces <= 1) {
    if (n > 0) body(context, 0, n);
    order_stores();
    return;
  }
  const auto run_piece = [&](int64_t piece) {
    const Inside mark;
    body(context, n * piece / pieces, n * (piece + 1) / pieces);
    order_stores();
  };
  shared_arena(num_threads())->execute([&] {
    // Isolated: while this thread waits for its own pieces it must not start a piece of somebody
    // else, which would use the same scratch memory.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(int64_t{0}, pieces, run_piece, tbb::static_partitioner{}); });
  });
}

void* scratch(int which, size_t bytes) {
  struct Buffer {
    std::unique_ptr<void, decltype(&std::free)> data{nullptr, &std::free};
    size_t bytes = 0;
  };
  static thread_local Buffer buffers[6];
  Buffer& buffer = buffers[which];
  if (buffer.bytes < bytes) {
    const size_t rounded = (bytes + 4095) & ~size_t{4095};
    buffer.data.reset(std::aligned_alloc(64, rounded));
    buffer.bytes = buffer.data ? rounded : 0;
    if (!buffer.data) throw std::bad_alloc();
  }
  return buffer.data.get();
}

}  // namespace needle
