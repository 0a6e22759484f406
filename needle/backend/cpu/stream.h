// Stores that go past the caches.  (Lesson 04)
//
// An ordinary store first brings the line that it changes: an output costs its size twice. For one
// that is larger than the last cache both are in vain, because its first part is out of the cache
// before anyone reads it. Such stores write whole lines at once; run_parallel orders them. A processor
// with vectors of a whole line need not bring it, but writes it later, when it suits memory less: on a
// Zen 5 a copy past the caches takes 0.76 of the time. They have to be the loop's own stores: written
// from a buffer they come in bursts, and take longer than ordinary ones.
#pragma once

#include "needle/backend/cpu/isa.h"
#include "needle/backend/machine.h"

namespace needle::NEEDLE_ISA {

/// Whether an output of so many bytes does not fit into the caches.
inline bool past_caches(int64_t bytes) { return bytes > caches().l3; }

/// Results at p, past the caches if so wished and p permits it.
template <class T>
[[gnu::always_inline]] inline Out<T> out_at(T* p, bool past) {
  return {p, past && reinterpret_cast<uintptr_t>(p) % sizeof(Vec<float>) == 0};
}

/// How many elements lie before the first one at p or behind that begins a line.
template <class T>
[[gnu::always_inline]] inline int64_t lead_of(const T* p) {
  return static_cast<int64_t>(-reinterpret_cast<uintptr_t>(p) % 64 / sizeof(T));
}

/// memcpy(to, from, bytes), past the caches if so wished but for the parts of lines at both ends.
/// Meanwhile fetches what lies at `next`.
[[gnu::always_inline]] inline void copy_bytes(void* to, const void* from, int64_t bytes, bool past,
                                              const void* next) {
  constexpr int64_t width = sizeof(Vec<float>);
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  int64_t i = past ? least(bytes, lead_of(out)) : 0;
  std::memcpy(out, in, static_cast<size_t>(i));
  for (; i + width <= bytes; i += width) {
    __builtin_prefetch(static_cast<const char*>(next) + i);
    const auto v = Vec<float>::load_unaligned(reinterpret_cast<const float*>(in + i));
    float* there = reinterpret_cast<float*>(out + i);
    past ? store_past<float>(there, v) : v.store_unaligned(there);
  }
  std::memcpy(out + i, in + i, static_cast<size_t>(bytes - i));
}

/// The same without a next one.
[[gnu::always_inline]] inline void stream_bytes(void* to, const void* from, int64_t bytes) {
  copy_bytes(to, from, bytes, true, from);
}

}  // namespace needle::NEEDLE_ISA
