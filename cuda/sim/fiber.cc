// Fibers.  (Lesson 04)
//
// ucontext gives a fiber its stack; afterwards setjmp and longjmp switch, as QEMU's coroutines do:
// swapcontext would make two system calls each time, and take forty times as long.
#undef _FORTIFY_SOURCE  // its longjmp refuses to go to another stack
#include "cuda/sim/fiber.h"

#include <sys/mman.h>

#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace needle::sim {

namespace {

// The argument of makecontext's function would be an int. Set just before the switch to it.
thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuard, PROT_NONE);
  stack_ = static_cast<char*>(memory) + kGuard;
}

Fiber::~Fiber() { munmap(static_cast<char*>(stack_) - kGuard, kGuard + kStack); }

bool Fiber::start(void (*body)(void*), void* argument) {
  body_ = body;
  argument_ = argument;
  ended_ = false;
  if (!has_begun_) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStack;
    context_.uc_link = nullptr;
    makecontext(&context_, &Fiber::entry, 0);
  }
  return enter();
}

bool Fiber::resume() { return enter(); }

void Fiber::abandon() { has_begun_ = false; }

bool Fiber::enter() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&sanitizer_outside_, stack_, kStack);
#endif
  if (_setjmp(outside_) == 0) {
    if (has_begun_) _longjmp(inside_, 1);
    has_begun_ = true;
    entering = this;
    setcontext(&context_);
  }
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(sanitizer_outside_, nullptr, nullptr);
#endif
  return ended_;
}

void Fiber::suspend() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&sanitizer_inside_, outer_stack_, outer_size_);
#endif
  if (_setjmp(inside_) == 0) _longjmp(outside_, 1);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(sanitizer_inside_, &outer_stack_, &outer_size_);
#endif
}

void Fiber::leave() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(nullptr, outer_stack_, outer_size_);
#endif
  _longjmp(outside_, 1);
}

void Fiber::entry() {
  Fiber& self = *entering;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &self.outer_stack_, &self.outer_size_);
#endif
  for (;;) {  // the stack serves one call after another
    self.body_(self.argument_);
    self.ended_ = true;
    self.suspend();
  }
}

}  // namespace needle::sim
