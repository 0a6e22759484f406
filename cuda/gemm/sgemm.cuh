// Matrix products on the ordinary arithmetic units: float32 and float64 of any strides, and what the
// tensor cores' kernels decline.  (Lesson 04)
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
// which gives one number a cycle to each lane; an FFMA reads three. It takes one cycle only if one
// operand is that of the instruction before (which is kept at hand) and the others are in different
// banks. So the order in which the sums are computed matters: see the loop. The compiler hands out
// the registers, and does it better the more of the loop it sees at once: all of a step is unrolled.
// Counted in its output, 1.19 cycles an FFMA; with rows instead of columns 1.41, and measured.
//
// The idea: three tiles in one another. C is cut into blocks' tiles (shared memory), these into warps'
// (64 x 64), these into threads' (registers). While a block multiplies one step of k, the numbers of
// the next one are on their way from global memory to registers, then to the other half of shared
// memory: one barrier a step. What a warp waits for, the other ones' multiplying hides.
#pragma once

#include "cuda/gemm/partial.cuh"

namespace needle::NEEDLE_GPU::simt {

/// How a product is cut.
template <int kBlockRows, int kBlockColumns, int kStep, int kWarpRows, int kWarpColumns,
          int kBlocksAtOnce>
struct Cut {
  static constexpr int kRows = kBlockRows, kColumns = kBlockColumns;  // a block's tile of C
  static constexpr int kDepth = kStep;                                // of k, between two barriers
  static constexpr int kWarpsDown = kBlockRows / kWarpRows;
  static constexpr int kThreads = 32 * kWarpsDown * (kBlockColumns / kWarpColumns);
  static constexpr int kWarpTileRows = kWarpRows, kWarpTileColumns = kWarpColumns;
  static constexpr int kSumRows = kWarpRows / 8, kSumColumns = kWarpColumns / 4;  // of a thread
  static constexpr int kResident = kBlocksAtOnce;  // on one multiprocessor: registers for so many
};
using Large = Cut<128, 128, 8, 64, 64, 2>;
using Wide = Cut<128, 256, 8, 64, 64, 1>;
using Small = Cut<64, 64, 8, 64, 32, 6>;

/// Four neighbours: loaded and stored by one instruction, 16 bytes if they are floats.
template <class T>
struct alignas(sizeof(T) * 4 < 16 ? sizeof(T) * 4 : 16) Four {
  T v[4];
};

template <class T>
struct Task {
  int m, n, k;
  int64_t batch;
  int slice_depth;  // k of one slice, a multiple of kDepth; see partial.cuh
  int height;       // see grouped()
  bool c_aligned;   // four neighbours of a row of C can be stored at once
  Matrices<const T*> a, b;
};

/// A block's part of A or B for one step of k, on its way to shared memory as (kDepth, kSide).
/// kWidth neighbours are loaded at once. Lines past the end of the matrix are replaced by the last
/// one: what is computed from them is not stored. Numbers past the end of k are 0.
template <class T, class Sum, Along kAlong, int kWidth, int kSide, class C>
struct Panel {
  static constexpr int kDepth = C::kDepth;
  static constexpr int kLoads = kSide * kDepth / (C::kThreads * kWidth);
  static_assert(kLoads * C::kThreads * kWidth == kSide * kDepth);
  // Along k the four numbers loaded together go to four rows of shared memory. Rows that are 4 words
  // longer put those of different threads into different banks.
  static constexpr int kPitch = kSide + 4;
  using Shared = Sum[kDepth][kPitch];

  const T* from[kLoads];
  Sum loaded[kLoads][kWidth];

  /// Which element of the (kDepth, kSide) the i-th load of this thread begins with.
  static __device__ __forceinline__ int depth_of(int i) {
    const int piece = threadIdx.x + i * C::kThreads;
    return kAlong == Along::k ? piece % (kDepth / kWidth) * kWidth : piece / (kSide / kWidth);
  }
  static __device__ __forceinline__ int side_of(int i) {
    const int piece = threadIdx.x + i * C::kThreads;
    return kAlong == Along::k ? piece / (kDepth / kWidth) : piece % (kSide / kWidth) * kWidth;
  }

  /// side_stride, k_stride: in elements; first: line of this block's first one; lines: of all.
  __device__ __forceinline__ void start(const T* data, int64_t side_stride, int64_t k_stride,
                                        int first, int lines, int first_k) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int last = lines - (kAlong == Along::k ? 1 : kWidth);
      const int line = first + side_of(i) < last ? first + side_of(i) : last;
      from[i] = data + line * side_stride + (first_k + depth_of(i)) * k_stride;
    }
  }

  /// The next step: `left` of k remain.
  __device__ __forceinline__ void load(int left, int64_t k_stride) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (depth_of(i) < left) {
        if constexpr (kWidth == 4) {
          const Four<T> four = *reinterpret_cast<const Four<T>*>(from[i]);
#pragma unroll
          for (int j = 0; j < 4; ++j) loaded[i][j] = static_cast<Sum>(four.v[j]);
        } else {
          loaded[i][0] = static_cast<Sum>(*from[i]);
        }
      } else {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) loaded[i][j] = 0;
      }
      from[i] += kDepth * k_stride;
    }
  }

  __device__ __forceinline__ void store(Shared& to) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int depth = depth_of(i), side = side_of(i);
      if constexpr (kAlong == Along::side && kWidth == 4) {
        Four<Sum> four;
#pragma unroll
        for (int j = 0; j < 4; ++j) four.v[j] = loaded[i][j];
        *reinterpret_cast<Four<Sum>*>(&to[depth][side]) = four;
      } else {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) to[depth + j][side] = loaded[i][j];
      }
    }
  }
};

/// A thread's operands for one k: groups of four, `apart` from one another.
template <int kCount, class Sum>
__device__ __forceinline__ void load_operands(const Sum* row, int apart, Sum (&x)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const auto four = *reinterpret_cast<const Four<Sum>*>(row + i / 4 * apart);
#pragma unroll
    for (int j = 0; j < 4; ++j) x[i + j] = four.v[j];
  }
}

/// Stores four neighbours of a row of C, of which the first `count` exist.
template <class Out, class Sum>
__device__ __forceinline__ void store_four(Out* to, int64_t column_stride, const Sum* sums,
                                           int count, bool aligned) {
  if (aligned && count >= 4) {
    Four<Out> four;
#pragma unroll
    for (int j = 0; j < 4; ++j) four.v[j] = static_cast<Out>(sums[j]);
    *reinterpret_cast<Four<Out>*>(to) = four;
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) to[j * column_stride] = static_cast<Out>(sums[j]);
    }
  }
}

/// One tile of C by one block. c: z counts slices, then batches.
template <class T, class Sum, class Out, Along kA, Along kB, int kWidth, class C>
__global__ void __launch_bounds__(C::kThreads, C::kResident)
    simt_kernel(Task<T> t, Matrices<Out*> c) {
  using PanelA = Panel<T, Sum, kA, kWidth, C::kRows, C>;
  using PanelB = Panel<T, Sum, kB, kWidth, C::kColumns, C>;
  __shared__ __align__(16) typename PanelA::Shared shared_a[2];
  __shared__ __align__(16) typename PanelB::Shared shared_b[2];

  const int rows = (t.m + C::kRows - 1) / C::kRows;
  const int columns = (t.n + C::kColumns - 1) / C::kColumns;
  const int z = blockIdx.x / (rows * columns);
  const Tile tile = grouped(blockIdx.x % (rows * columns), rows, columns, t.height);
  const int first_row = tile.row * C::kRows, first_column = tile.column * C::kColumns;
  const int64_t batch = z % t.batch;
  const int first_k = static_cast<int>(z / t.batch) * t.slice_depth;
  int left = t.k - first_k < t.slice_depth ? t.k - first_k : t.slice_depth;

  PanelA a;
  PanelB b;
  a.start(t.a.data + batch * t.a.batch, t.a.row, t.a.column, first_row, t.m, first_k);
  b.start(t.b.data + batch * t.b.batch, t.b.column, t.b.row, first_column, t.n, first_k);

  // The 32 lanes of a warp as 8 rows by 4 columns, numbered so that 16 lanes in a row read all 8
  // groups of A (128 bytes) and 2 of B: the fewest wavefronts.
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int lane_row = lane / 2 % 8, lane_column = lane % 2 + lane / 16 * 2;
  const int warp_row = warp % C::kWarpsDown * C::kWarpTileRows;
  const int warp_column = warp / C::kWarpsDown * C::kWarpTileColumns;
  const int row = warp_row + lane_row * 4, column = warp_column + lane_column * 4;
  Sum operands_a[C::kSumRows], operands_b[C::kSumColumns];
  Sum sums[C::kSumRows][C::kSumColumns] = {};

  a.load(left, t.a.column);
  b.load(left, t.b.row);
  a.store(shared_a[0]);
  b.store(shared_b[0]);
  __syncthreads();
  for (int half = 0; left > 0; half ^= 1) {
    left -= C::kDepth;
    if (left > 0) {  // on their way while this step is multiplied
      a.load(left, t.a.column);
      b.load(left, t.b.row);
    }
#pragma unroll
    for (int k = 0; k < C::kDepth; ++k) {
      load_operands(&shared_a[half][k][row], 32, operands_a);
      load_operands(&shared_b[half][k][column], 16, operands_b);
      // Up one column of sums and down the next: each FFMA shares an operand with the one before.
#pragma unroll
      for (int j = 0; j < C::kSumColumns; ++j) {
#pragma unroll
        for (int l = 0; l < C::kSumRows; ++l) {
          const int i = j % 2 == 0 ? l : C::kSumRows - 1 - l;
          sums[i][j] += operands_a[i] * operands_b[j];
        }
      }
    }
    if (left > 0) {
      a.store(shared_a[half ^ 1]);
      b.store(shared_b[half ^ 1]);
    }
    __syncthreads();
  }

  Out* out = c.data + z * c.batch;
#pragma unroll
  for (int i = 0; i < C::kSumRows; ++i) {
    const int m = first_row + row + i / 4 * 32 + i % 4;
#pragma unroll
    for (int j = 0; j < C::kSumColumns; j += 4) {
      const int n = first_column + column + j / 4 * 16;
      if (m < t.m) {
        store_four(out + m * c.row + n * c.column, c.column, &sums[i][j], t.n - n, t.c_aligned);
      }
    }
  }
}

}  // namespace needle::NEEDLE_GPU::simt
