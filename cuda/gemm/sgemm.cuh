// Products of float32 of any strides, on the ordinary arithmetic units.  (Lesson 04)
//
// The limit. A multiprocessor of an H100 does 128 multiply-adds (FFMA) a cycle, one for each of its
// lanes: every other instruction takes their place. A thread that computes (r, c) sums needs r + c
// numbers of shared memory for r c multiply-adds. With (8, 16):
//   - 6 instructions that load 4 numbers each, for 128 FFMA: 5 % of the slots;
//   - for a warp's 4096 FFMA, 32 cycles of the multiprocessor, it reads 64 + 64 numbers, and
//     shared memory could deliver 128 bytes in each of those cycles.
// With (8, 8) loads would take 6 % and twice as much of shared memory; with one sum a thread, the
// first rung of the ladder, shared memory is 32 times too slow. A block's tile of (128, 128) needs
// 2 x 128 numbers of global memory for 16384 FFMA.
//
// What is left is the registers' own limit. They lie in two banks (odd and even numbers), each of
// which gives one number a cycle to each lane; an FFMA reads three. So one operand should be that
// of the instruction before, which is kept at hand, and the other two of different banks: the sums are
// computed column by column, up and down in turn, and of a column first the even and then the odd
// rows. Nor may the sums be tied to places: four that one instruction stores lie in four registers in a
// row, so those of an operand that one instruction loads meet them in the same bank. Copies of them are
// stored. In the machine code of a step of 1024 FFMA (nvdisasm; nvcc 13.0), those that wait a cycle:
//   row by row 316; up and down 241; copies stored 150; even, then odd rows 86.
// Instructions and waits together gave the times of the first two on an H200, within 2 %.
//
// The idea: three tiles in one another. C is cut into blocks' tiles (shared memory), these into
// warps' (64 x 64), these into threads' (registers). Nobody waits for what is far away: cp.async
// brings the next steps of k from global to shared memory, a ring of stages ahead, and a thread's
// operands for the next k come from shared memory to registers while those of this one are
// multiplied. One barrier a step.
#pragma once

#include "cuda/gemm/async.cuh"
#include "cuda/gemm/partial.cuh"

namespace needle::NEEDLE_GPU::sgemm {

/// How a product is cut, and how it is walked through.
template <int kBlockRows, int kBlockColumns, int kStep, int kWarpRows, int kWarpColumns, int kRing,
          int kBlocksAtOnce, bool kFetchAhead = true>
struct Cut {
  static constexpr int kRows = kBlockRows, kColumns = kBlockColumns;  // a block's tile of C
  static constexpr int kDepth = kStep;                                // of k, between two barriers
  static constexpr int kStages = kRing;
  static constexpr int kWarpsDown = kBlockRows / kWarpRows;
  static constexpr int kThreads = 32 * kWarpsDown * (kBlockColumns / kWarpColumns);
  static constexpr int kWarpTileRows = kWarpRows, kWarpTileColumns = kWarpColumns;
  static constexpr int kSumRows = kWarpRows / 8, kSumColumns = kWarpColumns / 4;  // of a thread
  static constexpr int kResident = kBlocksAtOnce;  // on one multiprocessor: registers for so many
  static constexpr bool kAhead = kFetchAhead;  // operands of the next k come during this one's FFMA
  // Rows of shared memory are 4 words longer than needed: so what is written down a column goes to
  // different banks.
  static constexpr int kPitchA = kRows + 4, kPitchB = kColumns + 4;
  static constexpr int kStageFloats = kDepth * (kPitchA + kPitchB);
  static constexpr int kSharedBytes = kStages * kStageFloats * 4;
};

struct Task {
  int m, n, k;
  int64_t batch;
  int slice_depth;  // k of one slice, a multiple of kDepth; see partial.cuh
  int height;       // see grouped()
  bool c_aligned;   // four neighbours of a row of C can be stored at once
  Matrices<const float*> a, b;
  Matrices<float*> c;  // z counts slices, then batches
};

/// A thread's share of the copies of one operand to shared memory, as (kDepth, kSide).
///   Along::side: neighbours along the side, 4 at a time. They begin on 16 bytes, and there is a
///                multiple of four of them.
///   Along::k:    any strides, one number at a time; best if neighbours lie along k.
template <Along kAlong, int kSide, class C>
struct Copier {
  static constexpr int kWidth = kAlong == Along::side ? 4 : 1;
  static constexpr int kInLine = kAlong == Along::side ? kSide / 4 : C::kDepth;  // threads
  static constexpr int kApart = C::kThreads / kInLine;  // lines from one copy to the next
  static constexpr int kCopies = kSide * C::kDepth / (C::kThreads * kWidth);
  static constexpr int kPitch = kSide + 4;
  static_assert(kCopies * C::kThreads * kWidth == kSide * C::kDepth);

  const float *origin, *from;
  int64_t step, apart;  // elements from one stage to the next, from one copy to the next
  int sides_left;       // from this thread's first number on
  int to;               // its place in a stage

  static __device__ __forceinline__ int line() { return threadIdx.x / kInLine; }
  static __device__ __forceinline__ int place() { return threadIdx.x % kInLine * kWidth; }
  static __device__ __forceinline__ int depth() { return kAlong == Along::side ? line() : place(); }

  __device__ __forceinline__ void start(const float* data, int64_t side_stride, int64_t k_stride,
                                        int first, int sides, int first_k) {
    const int side = kAlong == Along::side ? place() : line();
    origin = data;
    from = data + (first + side) * side_stride + (first_k + depth()) * k_stride;
    step = C::kDepth * k_stride;
    apart = kApart * (kAlong == Along::side ? k_stride : side_stride);
    sides_left = sides - first - side;
    to = depth() * kPitch + side;
  }

  /// Whether all lines of the tile exist.
  __device__ __forceinline__ bool whole() const {
    return kAlong == Along::side ? sides_left > 0 : sides_left > kApart * (kCopies - 1);
  }

  /// Starts the copies of the next stage. kWhole: all of it exists; else `left` of k do, and zeros
  /// take the place of the rest.
  template <bool kWhole>
  __device__ __forceinline__ void copy(float* stage, int left) {
    constexpr int kFurther = kApart * (kAlong == Along::side ? kPitch : 1);
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      float* there = stage + to + i * kFurther;
      if constexpr (kWhole) {
        copy_async<4 * kWidth>(there, from + i * apart);
      } else {
        const bool exists = kAlong == Along::side ? sides_left > 0 && depth() + i * kApart < left
                                                  : sides_left > i * kApart && depth() < left;
        copy_async_if<4 * kWidth>(exists, there, exists ? from + i * apart : origin);
      }
    }
    from += step;
  }
};

/// Four neighbours: loaded and stored by one instruction.
struct alignas(16) Four {
  float v[4];
};

/// A thread's operands for one k: groups of four, `apart` from one another.
template <int kCount>
__device__ __forceinline__ void load_operands(const float* row, int apart, float (&x)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const auto four = *reinterpret_cast<const Four*>(row + i / 4 * apart);
#pragma unroll
    for (int j = 0; j < 4; ++j) x[i + j] = four.v[j];
  }
}

/// sums += a b^T, in the order that suits the registers: see above.
template <int kRows, int kColumns>
__device__ __forceinline__ void multiply(const float (&a)[kRows], const float (&b)[kColumns],
                                         float (&sums)[kRows][kColumns]) {
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
#pragma unroll
    for (int l = 0; l < kRows; ++l) {
      const int down = l < kRows / 2 ? 2 * l : 2 * l - kRows + 1;
      const int i = j % 2 == 0 ? down : kRows - 1 - down;
      sums[i][j] += a[i] * b[j];
    }
  }
}

/// Stores four neighbours of a row of C, of which the first `count` exist.
__device__ __forceinline__ void store_four(float* to, int64_t column_stride, const float* sums,
                                           int count, bool aligned) {
  if (aligned && count >= 4) {
    *reinterpret_cast<Four*>(to) = {{sums[0], sums[1], sums[2], sums[3]}};
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) to[j * column_stride] = sums[j];
    }
  }
}

/// One tile of C by one block.
template <Along kA, Along kB, class C>
__global__ void __launch_bounds__(C::kThreads, C::kResident) sgemm_kernel(Task t) {
  NEEDLE_DYNAMIC_SHARED(float, shared);
  const int rows = (t.m + C::kRows - 1) / C::kRows;
  const int columns = (t.n + C::kColumns - 1) / C::kColumns;
  const int z = blockIdx.x / (rows * columns);
  const Tile tile = grouped(blockIdx.x % (rows * columns), rows, columns, t.height);
  const int first_row = tile.row * C::kRows, first_column = tile.column * C::kColumns;
  const int64_t batch = z % t.batch;
  const int first_k = static_cast<int>(z / t.batch) * t.slice_depth;
  const int depth = t.k - first_k < t.slice_depth ? t.k - first_k : t.slice_depth;
  const int steps = (depth + C::kDepth - 1) / C::kDepth;

  Copier<kA, C::kRows, C> a;
  Copier<kB, C::kColumns, C> b;
  a.start(t.a.data + batch * t.a.batch, t.a.row, t.a.column, first_row, t.m, first_k);
  b.start(t.b.data + batch * t.b.batch, t.b.column, t.b.row, first_column, t.n, first_k);
  const bool whole = a.whole() && b.whole();
  const auto copy = [&](int step) {
    float* stage = shared + step % C::kStages * C::kStageFloats;
    const int left = depth - step * C::kDepth;
    if (whole && left >= C::kDepth) {
      a.template copy<true>(stage, left);
      b.template copy<true>(stage + C::kDepth * C::kPitchA, left);
    } else if (left > 0) {
      a.template copy<false>(stage, left);
      b.template copy<false>(stage + C::kDepth * C::kPitchA, left);
    }
    commit_copies();  // an empty group too: so the count of groups is that of steps
  };

  // The 32 lanes of a warp as 8 rows by 4 columns, numbered so that 16 lanes in a row read all 8
  // groups of A (128 bytes) and 2 of B: the fewest wavefronts.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int lane_row = lane / 2 % 8, lane_column = lane % 2 + lane / 16 * 2;
  const int row = warp % C::kWarpsDown * C::kWarpTileRows + lane_row * 4;
  const int column = warp / C::kWarpsDown * C::kWarpTileColumns + lane_column * 4;
  float operands_a[2][C::kSumRows], operands_b[2][C::kSumColumns];
  float sums[C::kSumRows][C::kSumColumns] = {};
  const auto fetch = [&](int step, int k, int to) {
    const float* stage = shared + step % C::kStages * C::kStageFloats;
    load_operands(stage + k * C::kPitchA + row, 32, operands_a[to]);
    load_operands(stage + C::kDepth * C::kPitchA + k * C::kPitchB + column, 16, operands_b[to]);
  };

  for (int step = 0; step < C::kStages - 1; ++step) copy(step);
  wait_copies<C::kStages - 2>();
  __syncthreads();
  if (C::kAhead) fetch(0, 0, 0);
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int k = 0; k < C::kDepth; ++k) {
      const int now = C::kAhead ? k % 2 : 0;
      if (!C::kAhead) fetch(step, k, 0);
      if (k == C::kDepth - 1) {  // the last operands of this step are in registers
        wait_copies<C::kStages - 2>();
        __syncthreads();
        if (C::kAhead && step + 1 < steps) fetch(step + 1, 0, 0);
      } else if (C::kAhead) {
        fetch(step, k + 1, 1 - now);
      }
      multiply(operands_a[now], operands_b[now], sums);
      // Into the stage of the step before, which all have read since the last barrier.
      if (k == 0) copy(step + C::kStages - 1);
    }
  }

  float* out = t.c.data + z * t.c.batch;
#pragma unroll
  for (int i = 0; i < C::kSumRows; ++i) {
    const int m = first_row + row + i / 4 * 32 + i % 4;
#pragma unroll
    for (int j = 0; j < C::kSumColumns; j += 4) {
      const int n = first_column + column + j / 4 * 16;
      float copies[4];  // from this lane itself, which the compiler cannot see through
#pragma unroll
      for (int q = 0; q < 4; ++q) copies[q] = __shfl_sync(~0u, sums[i][j + q], lane);
      if (m < t.m) {
        store_four(out + m * t.c.row + n * t.c.column, t.c.column, copies, t.n - n, t.c_aligned);
      }
    }
  }
}

}  // namespace needle::NEEDLE_GPU::sgemm
