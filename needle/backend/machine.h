// What this machine can do at most: the two limits of every cpu kernel.  (Lesson 04)
#pragma once

#include <cstdint>

#include "needle/array/dtype.h"

namespace needle {

/// Sizes in bytes of the caches for data: level 1 and 2 of one core, level 3 of the chip.
struct Caches {
  int64_t l1, l2, l3;
};

/// Read from the operating system at first use; what it does not tell is 32 KiB, 512 KiB, 8 MiB.
/// The environment variable NEEDLE_CACHES=32K,512K,8M says otherwise; ValueError if it is malformed.
const Caches& caches();

/// Whether the products of bfloat16 matrices are added up two at a time, as AVX-512 processors with
/// AVX512_BF16 can: `native` on these, else `none`. The environment variable NEEDLE_BF16_PAIRS=none,
/// emulated or native says otherwise; ValueError if it is something else, or the CPU cannot do it.
enum class PairProducts { none, emulated, native };
PairProducts pair_products();

/// Floating-point operations per second of `threads` threads that do nothing but multiply-adds in
/// registers. dtype float32 or float64, else TypeError. Takes about 50 ms.
double fma_peak(DType dtype, int threads);

/// Bytes per second that `threads` threads copy (what is read and what is written, added up): each
/// goes through an equal share of two buffers of `bytes` / 2 bytes, again and again. Where these lie
/// (cache or memory) follows from their size. ValueError below 4096 bytes a thread and buffer.
double copy_bandwidth(int64_t bytes, int threads);

/// The same for reading alone, from one buffer of `bytes` bytes.
double read_bandwidth(int64_t bytes, int threads);

}  // namespace needle
