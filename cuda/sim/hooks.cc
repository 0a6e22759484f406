// The functions that g++ calls from instrumented code.  (Lesson 04)
//
// Kernels are compiled with -fsanitize=thread and linked without its library: these take its place.
// Before each access that another thread might see, g++ calls one with the address; the place in the
// kernel is where the call returns to. -fsanitize-coverage=trace-pc adds a call in each basic block.
//
// The simulator itself must be compiled without: a hook would call itself.
#include "cuda/sim/hooks.h"

#include <cstdio>
#include <cstdlib>

#include "cuda/sim/machine.h"
#include "cuda/sim/trace.h"

#ifdef __SANITIZE_THREAD__
#error "the simulator's hooks are compiled without -fsanitize=thread"
#endif

namespace needle::sim::hooks {

constinit thread_local int64_t budget = 0;
Trace* trace = nullptr;

namespace {

[[gnu::noinline]] void note(const void* at, size_t bytes, Access kind, const void* caller) {
  if (Machine* machine = Machine::running()) {
    trace->access(*machine, reinterpret_cast<uintptr_t>(at), bytes, kind,
                  reinterpret_cast<uintptr_t>(caller));
  }
}

/// A GPU would access a struct that is not aligned as a whole in pieces.
void note_range(const void* at, size_t bytes, Access kind, const void* caller) {
  const size_t piece = (bytes | reinterpret_cast<uintptr_t>(at)) % 4 == 0 ? 4 : 1;
  for (size_t i = 0; i < bytes; i += piece) {
    note(static_cast<const char*>(at) + i, piece, kind, caller);
  }
}

[[gnu::noinline]] void note_step(const void* caller) {
  if (const Machine* machine = Machine::running()) {
    trace->step(machine->current().linear, reinterpret_cast<uintptr_t>(caller));
  }
}

[[gnu::noinline]] void out_of_budget(const void* caller) {
  if (Machine* machine = Machine::running()) {
    machine->end_slice(reinterpret_cast<uintptr_t>(caller));
  } else {
    budget = 1 << 16;  // the host's own code in an instrumented file
  }
}

[[noreturn]] void unsupported(const char* name) {
  std::fprintf(stderr,
               "needle's simulator: a kernel uses %s. Kernels use CUDA's own atomics, and no "
               "virtual functions.\n",
               name);
  std::abort();
}

}  // namespace

void atomic(const void* at, size_t bytes, const void* caller) {
  if (trace) note(at, bytes, Access::atomic, caller);
}

}  // namespace needle::sim::hooks

using needle::sim::hooks::Access;
using needle::sim::hooks::note;
using needle::sim::hooks::note_range;
using needle::sim::hooks::trace;

#define NEEDLE_SIM_HOOK(name, bytes, kind)                        \
  void __tsan_##name(void* at) {                                  \
    if (trace) [[unlikely]]                                       \
      note(at, bytes, Access::kind, __builtin_return_address(0)); \
  }

extern "C" {

NEEDLE_SIM_HOOK(read1, 1, read)
NEEDLE_SIM_HOOK(read2, 2, read)
NEEDLE_SIM_HOOK(read4, 4, read)
NEEDLE_SIM_HOOK(read8, 8, read)
NEEDLE_SIM_HOOK(read16, 16, read)
NEEDLE_SIM_HOOK(write1, 1, write)
NEEDLE_SIM_HOOK(write2, 2, write)
NEEDLE_SIM_HOOK(write4, 4, write)
NEEDLE_SIM_HOOK(write8, 8, write)
NEEDLE_SIM_HOOK(write16, 16, write)

void __tsan_read_range(void* at, size_t bytes) {
  if (trace) note_range(at, bytes, Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* at, size_t bytes) {
  if (trace) note_range(at, bytes, Access::write, __builtin_return_address(0));
}

void __sanitizer_cov_trace_pc() {
  if (--needle::sim::hooks::budget < 0) {
    needle::sim::hooks::out_of_budget(__builtin_return_address(0));
  }
  if (trace) [[unlikely]]
    needle::sim::hooks::note_step(__builtin_return_address(0));
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) { needle::sim::hooks::unsupported("a virtual function"); }

}  // extern "C"

#undef NEEDLE_SIM_HOOK
