// The tile of v6 and v7: 128 x 128 results a block, 64 x 32 a warp, 8 x 8 a thread.  (Lesson 04)
#pragma once

#include "cuda/ladder/rung.h"

namespace needle::NEEDLE_GPU::ladder {

/// Four neighbours that are read or written by one instruction.
struct alignas(16) Four {
  float at[4];
};

/// Where a thread's results are: rows `row` + 0 … 3 and + 32 … 35, columns `column` + 0 … 3 and +
/// 16 … 19. The lanes of a warp are 8 x 4: what they read of A and B are 32 + 16 neighbours, twice
/// each.
struct WarpTile {
  static constexpr int kSide = 128, kDepth = 8, kThreads = 256;
  static constexpr int kPerThread = kSide * kDepth / kThreads;  // of A and of B, from global memory
  static constexpr int kRow = kSide + 4;  // of A in shared memory: see store_a

  int thread, row, column;

  __device__ WarpTile() : thread(threadIdx.x) {
    const int warp = thread / 32, lane = thread % 32;
    row = warp / 4 * 64 + lane / 4 * 4;
    column = warp % 4 * 32 + lane % 4 * 4;
  }

  /// What this thread brings of A and B from step `begin` on; 0 beyond the edges.
  __device__ void load(const Product& x, int begin, float (&a)[kPerThread],
                       float (&b)[kPerThread]) const {
    for (int i = 0; i < kPerThread; ++i) {
      const int e = thread + i * kThreads;
      const int row = blockIdx.y * kSide + e / kDepth, pa = begin + e % kDepth;
      const int column = blockIdx.x * kSide + e % kSide, pb = begin + e / kSide;
      a[i] = row < x.m && pa < x.k ? x.a[row * x.k + pa] : 0;
      b[i] = pb < x.k && column < x.n ? x.b[pb * x.n + column] : 0;
    }
  }

  /// Puts it into shared memory, A transposed. A warp has 8 steps of p of 4 rows: with rows of 132
  /// words they fall into the 32 banks 4 p + row.
  __device__ void store(const float (&a)[kPerThread], const float (&b)[kPerThread],
                        float (&as)[kDepth][kRow], float (&bs)[kDepth][kSide]) const {
    for (int i = 0; i < kPerThread; ++i) {
      const int e = thread + i * kThreads;
      as[e % kDepth][e / kDepth] = a[i];
      bs[e / kSide][e % kSide] = b[i];
    }
  }

  /// One step of p is 4 requests of 16 bytes a lane for 64 products.
  __device__ void multiply(const float (&as)[kDepth][kRow], const float (&bs)[kDepth][kSide],
                           float (&sum)[8][8]) const {
    for (int p = 0; p < kDepth; ++p) {
      Four a[2], b[2];
      for (int h = 0; h < 2; ++h) {
        a[h] = *reinterpret_cast<const Four*>(&as[p][row + 32 * h]);
        b[h] = *reinterpret_cast<const Four*>(&bs[p][column + 16 * h]);
      }
      for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < 8; ++j) sum[i][j] += a[i / 4].at[i % 4] * b[j / 4].at[j % 4];
      }
    }
  }

  /// Writes what is inside: four neighbours as one where rows of C begin at multiples of 16 bytes.
  __device__ void put(const Product& x, const float (&sum)[8][8]) const {
    for (int i = 0; i < 8; ++i) {
      const int to_row = blockIdx.y * kSide + row + i % 4 + i / 4 * 32;
      if (to_row >= x.m) continue;
      for (int j = 0; j < 8; j += 4) {
        const int to_column = blockIdx.x * kSide + column + j * 4;
        float* c = x.c + to_row * x.n + to_column;
        if (x.n % 4 == 0) {
          if (to_column >= x.n) continue;
          Four four;
          for (int e = 0; e < 4; ++e) four.at[e] = sum[i][j + e];
          *reinterpret_cast<Four*>(c) = four;
        } else {
          for (int e = 0; e < 4 && to_column + e < x.n; ++e) c[e] = sum[i][j + e];
        }
      }
    }
  }
};

}  // namespace needle::NEEDLE_GPU::ladder
