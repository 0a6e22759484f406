// Threads and scratch memory.  (Lesson 04)
//
// oneTBB, not OpenMP: there the end of every loop waits until all threads of the team have come by.
// On a machine that has other things to do, a thread that is not running then holds up the others
// for a whole time slice, hundreds of times a second: beside busy compilers a training step took
// more than ten times as long. Here a piece that no thread has picked up is done by the caller.
#include "needle/backend/cpu/threads.h"

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>

#ifdef NEEDLE_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

#include "needle/array/error.h"
#include "needle/array/ref.h"
#include "needle/backend/registry.h"

namespace needle {
namespace {

/// Large scratch memory is asked for in such pages: processors fetch ahead up to the end of a page.
constexpr size_t kHugePage = 2 << 20;

int processors() {
  static const int found = std::max(1, tbb::this_task_arena::max_concurrency());
  return found;
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> threads = processors();
  return threads;
}

/// The arena that all callers share: however many threads call, no more than num_threads() work, nor
/// more than there are processors. (Asked for more, oneTBB would print a warning.)
struct Arena : RefCounted {
  explicit Arena(int threads) : tasks(threads) {}
  tbb::task_arena tasks;
};

Ref<Arena> shared_arena(int threads) {
  static std::mutex mutex;
  static Ref<Arena> arena;
  threads = std::min(threads, processors());
  const std::lock_guard lock(mutex);
  if (!arena || arena->tasks.max_concurrency() != threads) arena = make_ref<Arena>(threads);
  return arena;
}

/// Stores past the caches (stream.h) are seen by others in any order, but for this.
void order_stores() {
#ifdef __SSE2__
  __builtin_ia32_sfence();
#endif
}

/// What happened before happens_before(x) in one thread is seen after happens_after(x) in another. For
/// ThreadSanitizer alone: oneTBB is not compiled for it, so it does not see what orders the pieces.
void happens_before([[maybe_unused]] void* x) {
#ifdef NEEDLE_THREAD_SANITIZER
  __tsan_release(x);
#endif
}
void happens_after([[maybe_unused]] void* x) {
#ifdef NEEDLE_THREAD_SANITIZER
  __tsan_acquire(x);
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

void run_pieces(int64_t pieces, PieceBody piece, void* context) {
  if (pieces <= 1) {  // no piece of anything: a loop inside may be cut
    for (int64_t i = 0; i < pieces; ++i) piece(context, i);
    order_stores();
    return;
  }
  char start = 0, end = 0;
  const auto run = [&](int64_t i) {
    happens_after(&start);
    const Inside mark;
    piece(context, i);
    order_stores();
    happens_before(&end);
  };
  happens_before(&start);
  shared_arena(num_threads())->tasks.execute([&] {
    // Isolated: while this thread waits for its own pieces it does not start one of somebody else.
    // It still may before, while the arena is full.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(int64_t{0}, pieces, run, tbb::static_partitioner{}); });
  });
  happens_after(&end);
}

void* scratch(int which, size_t bytes) {
  struct Buffer {
    std::unique_ptr<void, decltype(&std::free)> data{nullptr, &std::free};
    size_t bytes = 0;
  };
  // A set of its own for pieces: one of another caller may come to run on a thread that waits for the
  // arena, where a kernel has put something into its scratch memory.
  static thread_local Buffer buffers[2][6];
  Buffer& buffer = buffers[inside_piece ? 1 : 0][which];
  if (buffer.bytes < bytes) {
    const size_t page = bytes >= kHugePage / 2 ? kHugePage : 4096;
    const size_t rounded = (bytes + page - 1) / page * page;
    buffer.data.reset(std::aligned_alloc(page, rounded));
    if (page == kHugePage) madvise(buffer.data.get(), rounded, MADV_HUGEPAGE);
    buffer.bytes = buffer.data ? rounded : 0;
    if (!buffer.data) throw std::bad_alloc();
  }
  return buffer.data.get();
}

}  // namespace needle
