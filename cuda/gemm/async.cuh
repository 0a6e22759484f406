// Copies from global to shared memory that no thread waits for (cp.async, since sm_80).  (Lesson 04)
//
// A thread starts copies, closes them into a group, and waits later until all but the latest groups
// have arrived; a barrier then shows the numbers to the others. They take no registers on the way.
// The simulator copies at once, which is the earliest time at which a GPU may do it.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace needle::NEEDLE_GPU {

#ifdef __CUDACC__

/// Copies `bytes` (0 to kBytes) of kBytes, and fills up with zeros. 16 bytes pass by the L1 cache.
template <int kBytes>
__device__ __forceinline__ void copy_async_some(uint32_t to, const void* from, int bytes) {
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(kBytes),
                 "r"(bytes)
                 : "memory");
  }
}

template <int kBytes>
__device__ __forceinline__ void copy_async(void* to, const void* from) {
  const auto there = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(there), "l"(from) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(there), "l"(from), "n"(kBytes)
                 : "memory");
  }
}

/// Zeros if there is nothing to copy; `from` should be an address of the same array all the same.
template <int kBytes>
__device__ __forceinline__ void copy_async_if(bool exists, void* to, const void* from) {
  copy_async_some<kBytes>(static_cast<uint32_t>(__cvta_generic_to_shared(to)), from,
                          exists ? kBytes : 0);
}

__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most kPending groups are still on their way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

#else

template <int kBytes>
struct alignas(kBytes) Piece {
  uint32_t words[kBytes / 4];
};
template <int kBytes>
void copy_async(void* to, const void* from) {
  *static_cast<Piece<kBytes>*>(to) = *static_cast<const Piece<kBytes>*>(from);
}
template <int kBytes>
void copy_async_if(bool exists, void* to, const void* from) {
  exists ? copy_async<kBytes>(to, from) : void(*static_cast<Piece<kBytes>*>(to) = {});
}
inline void commit_copies() {}
template <int kPending>
void wait_copies() {}

#endif

}  // namespace needle::NEEDLE_GPU
