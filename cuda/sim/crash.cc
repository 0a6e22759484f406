// Kernels that the processor stops: without checks, a stray access may reach memory that is not there.
// (Lesson 04)
#include "cuda/sim/crash.h"

#include <signal.h>
#include <ucontext.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "cuda/sim/machine.h"
#include "cuda/sim/symbols.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE};
constexpr size_t kStack = 64 << 10;
struct sigaction before[3];

uintptr_t pc_of(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return machine.pc;
#else
  return 0;
#endif
}

void handle(int signal, siginfo_t* info, void* context) {
  if (Machine* machine = Machine::running()) {
    machine->crash(signal, reinterpret_cast<uintptr_t>(info->si_addr), pc_of(context));
  }
  // Not ours: the instruction runs again, and meets who was there before.
  for (int i = 0; i < 3; ++i) {
    if (kSignals[i] == signal) sigaction(signal, &before[i], nullptr);
  }
}

std::mutex mutex;

/// Handlers of others may have replaced ours since the last launch.
void install() {
  struct sigaction now = {};
  sigaction(SIGSEGV, nullptr, &now);
  if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == &handle) return;
  const std::lock_guard lock(mutex);
  struct sigaction ours = {};
  ours.sa_sigaction = &handle;
  // Not blocked while it is handled: the handler does not return.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int i = 0; i < 3; ++i) {
    sigaction(kSignals[i], &ours, &now);
    const bool is_ours = now.sa_flags & SA_SIGINFO && now.sa_sigaction == &handle;
    if (!is_ours) before[i] = now;
  }
}

/// For the handler: the fiber's own stack may be what is used up.
struct SignalStack {
  std::unique_ptr<char[]> memory{new char[kStack]};

  ~SignalStack() {
    stack_t now = {};
    sigaltstack(nullptr, &now);
    if (now.ss_sp != memory.get()) return;
    now.ss_flags = SS_DISABLE;
    sigaltstack(&now, nullptr);
  }
};

}  // namespace

void catch_crashes() {
  static thread_local const SignalStack stack;
  stack_t now = {};
  sigaltstack(nullptr, &now);
  if (now.ss_sp != stack.memory.get() || now.ss_flags & SS_DISABLE) {
    now = {};
    now.ss_sp = stack.memory.get();
    now.ss_size = kStack;
    sigaltstack(&now, nullptr);
  }
  install();
}

void Machine::crash(int signal, uintptr_t at, uintptr_t pc) {
  crash_ = {signal, at, pc};
  current_->state = State::failed;
  current_->fiber.leave();
}

Finding Machine::crashed() const {
  const Thread& thread = *current_;
  const Location at = location_of(crash_.pc + 1);
  std::string what;
  if (thread.fiber.has_below(reinterpret_cast<const void*>(crash_.at))) {
    what = str("used up its stack of ", Fiber::kStack >> 10,
               " KiB. Large local arrays and recursion are as bad on a GPU: use shared memory");
  } else if (crash_.signal == SIGFPE) {
    what = "divided an integer by 0, which on a GPU gives any number. Test the divisor";
  } else {
    what =
        "accessed memory that is not there, or an address that is no multiple of the size of what "
        "it accessed. Run it again with checks (NEEDLE_SIM=check), which say more";
  }
  Finding out = finding(Kind::crash, thread, str("crash at ", text(at), ": a thread ", what));
  out.at = at;
  return out;
}

}  // namespace needle::sim
