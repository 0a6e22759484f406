// A fiber: a call with a stack of its own, which can stop in the middle and go on later. (Lesson 04)
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>

namespace needle::sim {

class Fiber {
 public:
  static constexpr size_t kStack = 64 << 10;  // bytes, behind a page that nobody may touch

  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs body(argument) from its beginning until it suspends or ends: true if it ended.
  bool start(void (*body)(void*), void* argument);
  /// Goes on after suspend(), until the next one or the end: true if it ended.
  bool resume();
  /// Called inside: stops, and goes on after the start() or resume() of the other side.
  void suspend();
  /// Called inside, also by a signal handler: stops for ever. The stack must be abandoned.
  [[noreturn]] void leave();
  /// Forgets a suspended call. Nothing on its stack is destroyed.
  void abandon();

  bool has(const void* address) const {
    return address >= stack_ && address < static_cast<char*>(stack_) + kStack;
  }
  /// The page below the stack, which the first access beyond its end reaches.
  bool has_below(const void* address) const {
    return address < stack_ && address >= static_cast<char*>(stack_) - kGuard;
  }

 private:
  static constexpr size_t kGuard = 4096;

  static void entry();
  bool enter();

  void* stack_;
  jmp_buf inside_, outside_;
  ucontext_t context_;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool has_begun_ = false;  // there is something in inside_
  bool ended_ = false;
  // What AddressSanitizer wants to know of each switch.
  void* sanitizer_inside_ = nullptr;
  void* sanitizer_outside_ = nullptr;
  const void* outer_stack_ = nullptr;
  size_t outer_size_ = 0;
};

}  // namespace needle::sim
