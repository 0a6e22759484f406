// Atomic operations.  (Lesson 04)
//
// Atomic on the host too: blocks run on several of its threads. Each notes the access first, with the
// place in the kernel that called.
#include "cuda/sim/atomics.h"

#include <atomic>
#include <type_traits>

#include "cuda/sim/hooks.h"

namespace {

/// Replaces the value by change(value), if nobody else did in between; returns the old one.
template <class T, class Change>
T update(T* at, void* caller, Change change) {
  needle::sim::hooks::atomic(at, sizeof(T), caller);
  std::atomic_ref<T> cell(*at);
  T old = cell.load(std::memory_order_relaxed);
  while (!cell.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
  }
  return old;
}

}  // namespace

int atomicAdd(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int old) {
    return static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value));
  });
}
unsigned atomicAdd(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned old) { return old + value; });
}
unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return old + value; });
}
float atomicAdd(float* at, float value) {
  return update(at, __builtin_return_address(0), [=](float old) { return old + value; });
}
double atomicAdd(double* at, double value) {
  return update(at, __builtin_return_address(0), [=](double old) { return old + value; });
}
int atomicSub(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int old) {
    return static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value));
  });
}
unsigned atomicSub(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned old) { return old - value; });
}
int atomicExch(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int) { return value; });
}
unsigned atomicExch(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned) { return value; });
}
unsigned long long atomicExch(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0), [=](unsigned long long) { return value; });
}
float atomicExch(float* at, float value) {
  return update(at, __builtin_return_address(0), [=](float) { return value; });
}
int atomicMin(int* at, int value) {
  return update(at, __builtin_return_address(0),
                [=](int old) { return value < old ? value : old; });
}
unsigned atomicMin(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned old) { return value < old ? value : old; });
}
long long atomicMin(long long* at, long long value) {
  return update(at, __builtin_return_address(0),
                [=](long long old) { return value < old ? value : old; });
}
unsigned long long atomicMin(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return value < old ? value : old; });
}
int atomicMax(int* at, int value) {
  return update(at, __builtin_return_address(0),
                [=](int old) { return value > old ? value : old; });
}
unsigned atomicMax(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned old) { return value > old ? value : old; });
}
long long atomicMax(long long* at, long long value) {
  return update(at, __builtin_return_address(0),
                [=](long long old) { return value > old ? value : old; });
}
unsigned long long atomicMax(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return value > old ? value : old; });
}
unsigned atomicInc(unsigned* at, unsigned limit) {
  return update(at, __builtin_return_address(0),
                [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}
unsigned atomicDec(unsigned* at, unsigned limit) {
  return update(at, __builtin_return_address(0),
                [=](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}
unsigned short atomicCAS(unsigned short* at, unsigned short expected, unsigned short value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned short old) { return old == expected ? value : old; });
}
int atomicCAS(int* at, int expected, int value) {
  return update(at, __builtin_return_address(0),
                [=](int old) { return old == expected ? value : old; });
}
unsigned atomicCAS(unsigned* at, unsigned expected, unsigned value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned old) { return old == expected ? value : old; });
}
unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                             unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return old == expected ? value : old; });
}
int atomicAnd(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int old) { return old & value; });
}
unsigned atomicAnd(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned old) { return old & value; });
}
unsigned long long atomicAnd(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return old & value; });
}
int atomicOr(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int old) { return old | value; });
}
unsigned atomicOr(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned old) { return old | value; });
}
unsigned long long atomicOr(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return old | value; });
}
int atomicXor(int* at, int value) {
  return update(at, __builtin_return_address(0), [=](int old) { return old ^ value; });
}
unsigned atomicXor(unsigned* at, unsigned value) {
  return update(at, __builtin_return_address(0), [=](unsigned old) { return old ^ value; });
}
unsigned long long atomicXor(unsigned long long* at, unsigned long long value) {
  return update(at, __builtin_return_address(0),
                [=](unsigned long long old) { return old ^ value; });
}
