// Stores that go past the caches.  (Lesson 04)
//
// An ordinary store first reads the line that it changes: an output costs its size twice. For one
// that is larger than the last cache both are in vain, because its first part is out of the cache
// before anyone reads it. Such stores write whole lines at once; run_parallel orders them.
#pragma once

#include "needle/backend/cpu/isa.h"
#include "needle/backend/machine.h"

namespace needle::NEEDLE_ISA {

/// Whether an output of so many bytes does not fit into the caches.
inline bool past_caches(int64_t bytes) { return bytes > caches().l3; }

/// Whether rows of such an output are better streamed. A vector of 64 bytes is a whole line, and the
/// processors that have such need not read it first: on a Zen 5 ordinary stores are as fast or faster.
inline bool streams(int64_t bytes) { return sizeof(Vec<float>) < 64 && past_caches(bytes); }

/// memcpy(to, from, bytes), past the caches but for the parts of lines at both ends.
[[gnu::always_inline]] inline void stream_bytes(void* to, const void* from, int64_t bytes) {
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
#ifdef __SSE2__
  const int64_t head = least(bytes, static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % 64));
  std::memcpy(out, in, static_cast<size_t>(head));
  int64_t i = head;
  for (; i + 64 <= bytes; i += 64) {
    for (int part = 0; part < 64; part += 16) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(out + i + part),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i + part)));
    }
  }
  std::memcpy(out + i, in + i, static_cast<size_t>(bytes - i));
#else
  std::memcpy(out, in, static_cast<size_t>(bytes));
#endif
}

}  // namespace needle::NEEDLE_ISA
