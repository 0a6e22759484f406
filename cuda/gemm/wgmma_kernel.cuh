// Products of float16 and bfloat16 on an H100: TMA copies, wgmma multiplies.  (Lesson 04)
//
// The limit. The tensor cores of one multiprocessor do 4096 FLOPs a cycle; an H100 has 132 of them.
// One step of a tile, (128, 64) x (64, 256), is 4.2 MFLOP: 1024 cycles. In that time
//   - 48 KiB come from the L2 cache, 48 bytes a cycle of about 64;
//   - each half of the tile reads 2 + 8 KiB of shared memory for each 128 cycles of multiplying: 80
//     bytes a cycle of 128. With tiles of (128, 128) it would be 96, and the L2's share 64.
// Nothing else may take time of the warps that multiply. So there are three roles:
//   - one thread asks the copy engine for tiles of A and B, up to `stages` steps ahead;
//   - two warpgroups multiply, 64 rows of the tile each. The sums stay in registers, half of all
//     that a multiprocessor has; the copying warps give away theirs.
// They meet at two barriers for each stage: `full` (the bytes have come) and `empty` (all warps have
// read them). Blocks live as long as the kernel and take one tile after the other, so that the
// copies for the next tile run while the last one is being written.
//
// Two blocks of a cluster compute tiles one above the other. They need the same part of B: each
// asks for one half of it and the copy engine writes that into both, so that the L2 cache is read
// for 32 KiB a step instead of 48. A stage is then free when the warps of both blocks have read it.
#pragma once

#include "cuda/gemm/hopper.cuh"
#include "cuda/gemm/problem.h"
#include "cuda/gemm/wgmma.cuh"
#include "cuda/gemm/wgmma_plan.h"

namespace needle::NEEDLE_GPU::hopper {

inline constexpr int kLine = 64;          // elements in 128 bytes, the widest box there is
inline constexpr int kThreads = 3 * 128;  // the first warpgroup copies
inline constexpr int kATileBytes = kRows * kDepth * 2;

/// How the tiles lie in memory. A stage is A's tile, then B's; after the stages come the barriers.
template <int kColumns, int kStages>
struct Layout {
  static constexpr int kBTileBytes = kColumns * kDepth * 2;
  static constexpr int kStageBytes = kATileBytes + kBTileBytes;
  static constexpr int kBarriers = kStages * kStageBytes;
  // The copy engine's pattern repeats every 1024 bytes: so are the tiles aligned.
  static constexpr int kBytes = kBarriers + 2 * kStages * 8 + 1024;
};

struct Task {
  int m, n, k, batch;
  int a_batch, b_batch;  // 1, or 0 if all products have the same matrix
  int slices;            // k is cut into so many parts, each summed up into a matrix of its own
  int slice_steps;       // steps of kDepth in one of them
  int height;            // see grouped()
  void* c;               // (slices, batch, m, n), columns one element apart
  int64_t c_row, c_batch;
  bool c_is_float, c_aligned;  // aligned: rows begin on 16 bytes
};

/// Where a matrix lies in shared memory, for the tensor cores: rows of 128 bytes, whose eight
/// 16-byte pieces are permuted by the row's number (the 128-byte swizzle; TMA writes it so).
///   along k:    a row is one row of A (or column of B), 64 of its k. Eight of them are 1024 bytes.
///   along side: a row is one k, 64 of its rows of A (or columns of B). Eight k are 1024 bytes; the
///               next 64 rows of A are a box of their own, 8192 bytes on.
/// PTX ISA 9.0, 9.7.15.5.1.2: canonical layouts and the matrix descriptor.
/// Only the lower word differs from place to place: 16 bytes on it is greater by 1.
template <Along kAlong>
__device__ inline uint32_t describe(uint32_t address) {
  constexpr uint32_t next_box = (kAlong == Along::k ? 1 : kLine * 128 >> 4) << 16;
  return next_box | (address & 0x3ffff) >> 4;
}
__device__ inline uint64_t descriptor(uint32_t lower) {
  constexpr uint64_t swizzle_128 = uint64_t{1} << 62, eight_rows = uint64_t{1024 >> 4} << 32;
  return swizzle_128 | eight_rows | lower;
}
/// What to add to it for the next 16 of k, of the 64 in a stage.
template <Along kAlong>
inline constexpr uint32_t kNext16 = (kAlong == Along::k ? 16 * 2 : 16 * 128) >> 4;

/// A block's walk over its tiles, the same for all its warps. Tiles of C in z-th place: slices and
/// batches.
template <int kColumns>
struct Walk {
  const Task& task;
  int peers, rank;    // blocks in the cluster, and which one this is
  int rows, columns;  // tiles of C; rows are those of a whole cluster
  int index;          // of the cluster's tile
  int row, column, z, batch, first_step, steps;

  __device__ explicit Walk(const Task& t)
      : task(t), peers(cluster_size()), rank(rank_in_cluster()), index(blockIdx.x / peers) {
    rows = (t.m + kRows * peers - 1) / (kRows * peers);
    columns = (t.n + kColumns - 1) / kColumns;
  }
  /// Stands on the next tile; false if there is none.
  __device__ bool next() {
    if (index >= rows * columns * task.batch * task.slices) return false;
    z = index / (rows * columns);
    const Tile tile = grouped(index % (rows * columns), rows, columns, task.height);
    row = (tile.row * peers + rank) * kRows;
    column = tile.column * kColumns;
    batch = z % task.batch;
    first_step = z / task.batch * task.slice_steps;
    const int left = (task.k + kDepth - 1) / kDepth - first_step;
    steps = left < task.slice_steps ? left : task.slice_steps;
    index += gridDim.x / peers;
    return true;
  }
};

/// A place in the ring of stages, and the parity of the lap.
template <int kStages>
struct Place {
  int stage = 0;
  uint32_t lap = 0;
  __device__ void advance() {
    if (++stage == kStages) stage = 0, lap ^= 1;
  }
};

/// The copying thread: fills one stage after the other.
template <Along kA, Along kB, int kColumns, int kStages>
__device__ void copy_tiles(const CUtensorMap* a, const CUtensorMap* b, const Task& task,
                           uint32_t tiles) {
  using L = Layout<kColumns, kStages>;
  Walk<kColumns> walk(task);
  Place<kStages> at;
  // B's tile in boxes: along k, two of 64 k and half of the columns; else of 64 columns and 64 k.
  constexpr int kBoxColumns = kB == Along::k ? kColumns / 2 : kLine;
  constexpr int kBoxes = kColumns / kBoxColumns;
  const int first_box = kBoxes / walk.peers * walk.rank, last_box = first_box + kBoxes / walk.peers;
  const uint16_t everyone = (1 << walk.peers) - 1;

  while (walk.next()) {
    const int za = walk.batch * task.a_batch, zb = walk.batch * task.b_batch;
    for (int step = 0; step < walk.steps; ++step, at.advance()) {
      const uint32_t full = tiles + L::kBarriers + at.stage * 16, empty = full + 8;
      const uint32_t to_a = tiles + at.stage * L::kStageBytes, to_b = to_a + kATileBytes;
      const int k = (walk.first_step + step) * kDepth;
      barrier_wait(empty, at.lap ^ 1);
      arrive_expecting(full, L::kStageBytes);
      if constexpr (kA == Along::k) {
        load_box(to_a, a, k, walk.row, za, full);
      } else {
        load_box(to_a, a, walk.row, k, za, full);
        load_box(to_a + kATileBytes / 2, a, walk.row + kLine, k, za, full);
      }
      for (int box = first_box; box < last_box; ++box) {
        const uint32_t to = to_b + box * (kBoxColumns * kDepth * 2);
        const int column = walk.column + box * kBoxColumns;
        const int x = kB == Along::k ? k : column, y = kB == Along::k ? column : k;
        if (walk.peers == 1) {
          load_box(to, b, x, y, zb, full);
        } else {
          load_box_shared(to, b, x, y, zb, full, everyone);
        }
      }
    }
  }
}

template <class T>
__device__ inline uint32_t pack(float low, float high) {
  uint32_t both;
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  }
  return both;
}

/// Four threads hold a row of four words each; afterwards each holds a column.
__device__ inline void transpose_quad(uint32_t (&u)[4]) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = lane & bit;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      uint32_t& keep_if_lower = u[i];
      uint32_t& keep_if_upper = u[i | bit];
      const uint32_t got = __shfl_xor_sync(0xffffffff, upper ? keep_if_lower : keep_if_upper, bit);
      (upper ? keep_if_lower : keep_if_upper) = got;
    }
  }
}

/// Writes the sums of one thread: row `row` and the one 8 below. kWhole: all of the tile's columns
/// exist, and rows begin on 16 bytes.
template <bool kWhole, int kColumns>
__device__ void store_float(const float (&d)[kColumns / 2], const Task& task, int row, int column,
                            int64_t at) {
#pragma unroll
  for (int half = 0; half < 2; ++half, row += 8) {
    if (row >= task.m) return;
    const int first = column + threadIdx.x % 4 * 2;
    float* c = static_cast<float*>(task.c) + at + row * task.c_row + first;
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
      const float low = d[4 * j + 2 * half], high = d[4 * j + 2 * half + 1];
      if constexpr (kWhole) {
        *reinterpret_cast<float2*>(c + j * 8) = make_float2(low, high);
      } else {
        if (first + j * 8 < task.n) c[j * 8] = low;
        if (first + j * 8 + 1 < task.n) c[j * 8 + 1] = high;
      }
    }
  }
}

/// The same as T. Four threads have 32 columns of a row together, in pieces of 2; they exchange them
/// so that each stores 8 neighbours, 16 bytes.
template <bool kWhole, class T, int kColumns>
__device__ void store_half(const float (&d)[kColumns / 2], const Task& task, int row, int column,
                           int64_t at) {
#pragma unroll
  for (int half = 0; half < 2; ++half, row += 8) {
    const int first = column + threadIdx.x % 4 * 8;
    uint16_t* c = static_cast<uint16_t*>(task.c) + at + row * task.c_row + first;
#pragma unroll
    for (int j = 0; j < kColumns / 8; j += 4) {
      uint32_t u[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        u[i] = pack<T>(d[4 * (j + i) + 2 * half], d[4 * (j + i) + 2 * half + 1]);
      }
      transpose_quad(u);
      if (row >= task.m) continue;
      if constexpr (kWhole) {
        *reinterpret_cast<uint4*>(c + j * 8) = make_uint4(u[0], u[1], u[2], u[3]);
      } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          if (first + j * 8 + i < task.n)
            c[j * 8 + i] = static_cast<uint16_t>(u[i / 2] >> (i % 2 * 16));
        }
      }
    }
  }
}

template <class T, int kColumns>
__device__ void store(const float (&d)[kColumns / 2], const Task& task, int row, int column,
                      int64_t at) {
  const bool whole = task.c_aligned && column + kColumns <= task.n;
  if (task.c_is_float) {
    whole ? store_float<true, kColumns>(d, task, row, column, at)
          : store_float<false, kColumns>(d, task, row, column, at);
  } else {
    whole ? store_half<true, T, kColumns>(d, task, row, column, at)
          : store_half<false, T, kColumns>(d, task, row, column, at);
  }
}

/// A multiplying warpgroup, number 0 or 1: its 64 rows of each tile.
template <class T, Along kA, Along kB, int kColumns, int kStages>
__device__ void multiply_tiles(const Task& task, uint32_t tiles, int group) {
  using L = Layout<kColumns, kStages>;
  const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
  Walk<kColumns> walk(task);
  Place<kStages> at;
  float d[kColumns / 2];

  // All that does not depend on the step is computed here: it would stand between the products.
  const uint32_t first_a = describe<kA>(tiles + group * (kATileBytes / 2));
  const uint32_t first_b = describe<kB>(tiles + kATileBytes);
  // A lane for each block tells it that this warp has read a stage.
  const bool tells = lane < walk.peers;
  const uint32_t first_empty = address_in(tiles + L::kBarriers + 8, tells ? lane : walk.rank);
  while (walk.next()) {
    uint32_t before = 0;  // the barrier of the stage that the tensor cores may still be reading
    for (int step = 0; step < walk.steps; ++step, at.advance()) {
      const uint32_t a = first_a + at.stage * (L::kStageBytes >> 4);
      const uint32_t b = first_b + at.stage * (L::kStageBytes >> 4);
      barrier_wait(tiles + L::kBarriers + at.stage * 16, at.lap);
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < kDepth / 16; ++i) {
        wgmma<T, kColumns, kA, kB>(d, descriptor(a + i * kNext16<kA>),
                                   descriptor(b + i * kNext16<kB>), step != 0 || i != 0);
      }
      wgmma_commit();
      wgmma_wait<1>();  // the products of the step before are done, these may go on
      if (step > 0 && tells) arrive_at(before);
      before = first_empty + at.stage * 16;
    }
    wgmma_wait<0>();
    if (tells) arrive_at(before);
    const int64_t z = walk.z;
    store<T, kColumns>(d, task, walk.row + group * 64 + warp * 16 + lane / 4, walk.column,
                       z * task.c_batch);
  }
}

template <class T, Along kA, Along kB, int kColumns, int kStages>
__global__ void __launch_bounds__(kThreads, 1)
    wgmma_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                 const __grid_constant__ Task task) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using L = Layout<kColumns, kStages>;
  NEEDLE_DYNAMIC_SHARED(unsigned char, shared);
  const uint32_t tiles = (shared_address(shared) + 1023) / 1024 * 1024;
  if (threadIdx.x == 0) {
    prefetch_map(&a);
    prefetch_map(&b);
    for (int stage = 0; stage < kStages; ++stage) {
      barrier_init(tiles + L::kBarriers + stage * 16, 1);                       // full
      barrier_init(tiles + L::kBarriers + stage * 16 + 8, 8 * cluster_size());  // empty: 8 warps
    }
    barrier_init_fence();
  }
  __syncthreads();
  cluster_sync();
  if (threadIdx.x < 128) {
    shrink_registers<40>();
    if (threadIdx.x == 0) copy_tiles<kA, kB, kColumns, kStages>(&a, &b, task, tiles);
  } else {
    grow_registers<232>();
    // The same for all threads of a warp; as lane 0's the compiler knows it, too.
    const int group = __shfl_sync(0xffffffff, static_cast<int>(threadIdx.x) / 128 - 1, 0);
    multiply_tiles<T, kA, kB, kColumns, kStages>(task, tiles, group);
  }
  __syncwarp();
  cluster_sync();  // nobody may leave while the other block still writes into its memory
#endif
}

}  // namespace needle::NEEDLE_GPU::hopper
