// Products of float16 and bfloat16 on the tensor cores of any GPU since the A100 (sm_80): cp.async
// copies, ldmatrix distributes, mma multiplies.  (Lesson 04)
//
// The limit. On an A100 a multiprocessor does 2048 FLOPs a cycle: a step of k = 16 of a warp's
// (64, 64) takes 64 cycles of it. For that the warp reads (64 + 64) x 16 numbers of shared memory, 4
// KiB: 64 bytes a cycle of 128. Smaller warps' tiles would be limited by shared memory, larger ones
// do not fit in registers: 128 sums a thread, of 255.
//
// The idea. A block's tile is (128, 128), k in steps of 32. cp.async brings the numbers from global
// to shared memory without a detour through registers; four stages are in flight. ldmatrix hands 8 x
// 8 matrices of two-byte numbers to the threads as mma wants them, turned if needed: so a stage lies
// in shared memory as it lay in global memory, whichever axis is the contiguous one.
//
// Operand fragments of mma.m16n8k16: PTX ISA 9.0, 9.7.14.5.8; ldmatrix: 9.7.14.5.15.
#pragma once

#include "cuda/gemm/async.cuh"
#include "cuda/gemm/partial.cuh"

namespace needle::NEEDLE_GPU::mma {

inline constexpr int kTile = 128;  // rows and columns of a block's part of C
inline constexpr int kDepth = 32;  // of k, in one stage
inline constexpr int kStages = 4;
inline constexpr int kThreads = 128;  // 2 x 2 warps, (64, 64) each
inline constexpr int kPiece = 8;      // numbers in 16 bytes
inline constexpr int kOperandBytes = kTile * kDepth * 2;
inline constexpr int kSharedBytes = kStages * 2 * kOperandBytes;

struct Task {
  int m, n, k;
  int64_t batch;
  int slice_depth, height;  // see partial.cuh, grouped()
  Matrices<const void*> a, b;
  Matrices<void*> c;           // columns one element apart; z counts slices, then batches
  bool c_is_float, c_aligned;  // aligned: two neighbours can be stored at once
};

/// How an operand's stage lies in shared memory: lines of kPieces x 16 bytes. ldmatrix reads one
/// piece of each of eight lines, which must lie in different banks: therefore the pieces are permuted
/// by the line's number.
template <Along kAlong>
struct Stage {
  static constexpr int kPieces = kAlong == Along::k ? kDepth / kPiece : kTile / kPiece;
  /// Bytes from the stage's beginning.
  static __device__ __forceinline__ int at(int line, int piece) {
    // Lines of 64 bytes: two of them fill all banks. Longer ones fill them alone.
    const int turn = kPieces == 4 ? line / 2 % 4 : line % 8;
    return (line * kPieces + (piece ^ turn)) * 16;
  }
};

/// Four 8 x 8 matrices; lanes 8 i to 8 i + 7 give the addresses of the lines of number i.
template <bool kTurned>
__device__ __forceinline__ void load_matrices(uint32_t address, uint32_t (&x)[4]) {
  if constexpr (kTurned) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address)
                 : "memory");
  }
}

/// d (16, 8) += a (16, 16) b (16, 8).
template <class T>
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
        " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
        " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

/// A thread's share of the copies of one operand: kTile lines of its side from `first` on. Its
/// pieces lie one above the other, kApart lines from one to the next.
template <Along kAlong>
struct Copier {
  static constexpr int kPieces = Stage<kAlong>::kPieces;
  static constexpr int kApart = kThreads / kPieces;
  static constexpr int kCopies = kTile * kDepth / kPiece / kThreads;

  const uint16_t *origin, *from;
  int64_t step, apart;  // elements from one stage to the next, from one piece to the next
  int sides_left;       // of the side, from this thread's first piece on

  static __device__ __forceinline__ int line() { return threadIdx.x / kPieces; }
  static __device__ __forceinline__ int piece() { return threadIdx.x % kPieces; }

  __device__ __forceinline__ void start(const void* data, int64_t side_stride, int64_t k_stride,
                                        int first, int sides, int first_k) {
    const int side = first + (kAlong == Along::k ? line() : piece() * kPiece);
    const int k = first_k + (kAlong == Along::k ? piece() * kPiece : line());
    origin = static_cast<const uint16_t*>(data);
    from = origin + side * side_stride + k * k_stride;
    step = kDepth * k_stride;
    apart = kApart * (kAlong == Along::k ? side_stride : k_stride);
    sides_left = sides - side;
  }

  /// Starts the copies of the next stage, of whose k `left` exist.
  __device__ __forceinline__ void copy(uint32_t stage, int left) {
    int count = kAlong == Along::k ? left - piece() * kPiece : sides_left;
    count = count < 0 ? 0 : count > kPiece ? kPiece : count;
    const int lines = kAlong == Along::k ? sides_left : left - line();
    const uint32_t to = stage + Stage<kAlong>::at(line(), piece());
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      // Of 0 bytes nothing is read, but the address should be one of the matrix.
      const bool some = i * kApart < lines && count > 0;
      copy_async_some<16>(to + i * kApart * kPieces * 16, some ? from + i * apart : origin,
                          some ? count * 2 : 0);
    }
    from += step;
  }
};

/// The fragments of 16 lines of a side (of A: 16 rows; of B: two times 8 columns) for 16 of k.
template <Along kAlong, bool kIsA>
__device__ __forceinline__ void load_fragment(uint32_t stage, int side, int k, uint32_t (&x)[4]) {
  // Matrix i of the four: A wants the next 8 rows second and the next 8 of k third; B, where two
  // fragments are loaded together, the other way round.
  const int lane = threadIdx.x % 32, line = lane % 8, i = lane / 8;
  const int side_8 = kIsA ? i % 2 : i / 2, k_8 = kIsA ? i / 2 : i % 2;
  const int address = kAlong == Along::k ? Stage<kAlong>::at(side + side_8 * 8 + line, k / 8 + k_8)
                                         : Stage<kAlong>::at(k + k_8 * 8 + line, side / 8 + side_8);
  load_matrices<kAlong == Along::side>(stage + address, x);
}

template <class T>
__device__ __forceinline__ void store_two(const Task& t, int64_t at, int left, float low,
                                          float high) {
  if (t.c_is_float) {
    float* c = static_cast<float*>(t.c.data) + at;
    if (t.c_aligned && left >= 2) {
      *reinterpret_cast<float2*>(c) = make_float2(low, high);
    } else {
      if (left > 0) c[0] = low;
      if (left > 1) c[1] = high;
    }
  } else {
    T* c = static_cast<T*>(t.c.data) + at;
    const T first(low), second(high);
    if (t.c_aligned && left >= 2) {
      *reinterpret_cast<uint32_t*>(c) = first.bits | uint32_t{second.bits} << 16;
    } else {
      if (left > 0) c[0] = first;
      if (left > 1) c[1] = second;
    }
  }
}

template <class T, Along kA, Along kB>
__global__ void __launch_bounds__(kThreads, 2) mma_kernel(const __grid_constant__ Task t) {
  NEEDLE_DYNAMIC_SHARED(unsigned char, shared);
  const auto base = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int rows = (t.m + kTile - 1) / kTile, columns = (t.n + kTile - 1) / kTile;
  const int z = blockIdx.x / (rows * columns);
  const Tile tile = grouped(blockIdx.x % (rows * columns), rows, columns, t.height);
  const int first_row = tile.row * kTile, first_column = tile.column * kTile;
  const int64_t batch = z % t.batch;
  const int first_k = static_cast<int>(z / t.batch) * t.slice_depth;
  const int depth = t.k - first_k < t.slice_depth ? t.k - first_k : t.slice_depth;

  Copier<kA> a;
  Copier<kB> b;
  a.start(static_cast<const T*>(t.a.data) + batch * t.a.batch, t.a.row, t.a.column, first_row, t.m,
          first_k);
  b.start(static_cast<const T*>(t.b.data) + batch * t.b.batch, t.b.column, t.b.row, first_column,
          t.n, first_k);
  const int steps = (depth + kDepth - 1) / kDepth;
  const auto copy = [&](int step) {
    const uint32_t stage = base + step % kStages * (2 * kOperandBytes);
    if (step < steps) {
      a.copy(stage, depth - step * kDepth);
      b.copy(stage + kOperandBytes, depth - step * kDepth);
    }
    commit_copies();  // an empty group too: so the count of groups is that of steps
  };

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int row = warp % 2 * 64, column = warp / 2 * 64;
  float sums[4][8][4] = {};
  uint32_t fragment_a[2][4][4], fragment_b[2][4][4];
  const auto fetch = [&](int step, int k, int to) {
    const uint32_t stage = base + step % kStages * (2 * kOperandBytes);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      load_fragment<kA, true>(stage, row + i * 16, k, fragment_a[to][i]);
      load_fragment<kB, false>(stage + kOperandBytes, column + i * 16, k, fragment_b[to][i]);
    }
  };
  const auto multiply_all = [&](int from) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        multiply<T>(sums[i][j], fragment_a[from][i], fragment_b[from][j / 2][j % 2 * 2],
                    fragment_b[from][j / 2][j % 2 * 2 + 1]);
      }
    }
  };

  for (int step = 0; step < kStages - 1; ++step) copy(step);
  wait_copies<kStages - 2>();
  __syncthreads();
  fetch(0, 0, 0);
  for (int step = 0; step < steps; ++step) {
    copy(step + kStages - 1);  // into the stage that the barrier below has set free
    fetch(step, 16, 1);
    multiply_all(0);
    wait_copies<kStages - 2>();
    __syncthreads();
    if (step + 1 < steps) fetch(step + 1, 0, 0);
    multiply_all(1);
  }

  const int64_t out = z * t.c.batch;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int m = first_row + row + i * 8 + lane / 4;
    if (m >= t.m) continue;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int n = first_column + column + j * 8 + lane % 4 * 2;
      const float* two = sums[i / 2][j] + i % 2 * 2;
      store_two<T>(t, out + m * t.c.row + n, t.n - n, two[0], two[1]);
    }
  }
}

}  // namespace needle::NEEDLE_GPU::mma
