// What this machine can do at most: the two limits of every cpu kernel.  (Lesson 04)
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "needle/array/dtype.h"

namespace needle {

/// Sizes in bytes of the caches for data: level 1 and 2 of one core, level 3 of the chip.
struct Caches {
  int64_t l1, l2, l3;
};

/// Read from the operating system at first use; what it does not tell is 32 KiB, 512 KiB, 8 MiB.
/// The environment variable NEEDLE_CACHES=32K,512K,8M says otherwise; ValueError if it is malformed.
const Caches& caches();

/// How matmul multiplies bfloat16: each number widened to a float; by AVX-512's dot products of two;
/// by AMX's tiles; or in the layout of one of the last two, but with other instructions, which is
/// for tests. The best the CPU has (below AVX-512: widened), chosen at first use; the environment
/// variable NEEDLE_BF16 names another. ValueError if that is not one, or not one of this CPU's.
enum class Bf16Products { widened, pairs, tiles, emulated_pairs, emulated_tiles };
Bf16Products bf16_products();

/// Floating-point operations per second of `threads` threads that do nothing but multiply-adds in
/// registers. dtype float32 or float64, else TypeError. Takes about 50 ms.
double fma_peak(DType dtype, int threads);

/// Bytes per second that `threads` threads copy (what is read and what is written, added up): each
/// goes through an equal share of two buffers of `bytes` / 2 bytes, again and again. Where these lie
/// (cache or memory) follows from their size. ValueError below 4096 bytes a thread and buffer.
double copy_bandwidth(int64_t bytes, int threads);

/// The same for reading alone, from one buffer of `bytes` bytes.
double read_bandwidth(int64_t bytes, int threads);

/// [begin, end) of the pieces into which a kernel's loop over [0, n) is cut now, in order; `nested`: a
/// loop that is started from inside a piece of another. See parallel.h for `grain`.
std::vector<std::pair<int64_t, int64_t>> loop_pieces(int64_t n, int64_t grain, bool nested);

}  // namespace needle
