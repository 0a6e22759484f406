// Products of a few rows by a large matrix, as in decoding one token of each of a few texts.
// (Lesson 04)
//
// The limit. y (r, n) = x (r, k) W (k, n) with r <= 16 does 2 r FLOPs for each number of W, and each is
// used once: with two-byte numbers 16 FLOPs a byte at most, where an H100 could do 295. So the time is
// that of reading W once. x is small and comes from the caches.
//
// The idea. Tiles in shared memory would only be a detour: a warp loads W straight into registers, 16
// bytes a thread, and multiplies there. A block has few columns of W, its eight warps share k; their
// sums are added up in shared memory. Loads come in batches, all started before the first is waited
// for: a GPU needs about 30 KiB under way on each multiprocessor to be busy.
#pragma once

#include "cuda/gemm/partial.cuh"

namespace needle::NEEDLE_GPU::thin {

inline constexpr int kWarps = 8;
inline constexpr int kMostRows = 16;

struct Task {
  int r, n, k;
  int64_t batch;
  int slice_depth;             // of k, see partial.cuh
  Matrices<const void*> x, w;  // x: k contiguous
};

/// Which part of the product a block computes.
struct Part {
  int first_column, first_k, end_k;
  int64_t batch, z;
};
__device__ __forceinline__ Part part_of_block(const Task& t, int columns) {
  const int blocks = (t.n + columns - 1) / columns;
  const int64_t z = blockIdx.x / blocks;
  const int first_k = static_cast<int>(z / t.batch) * t.slice_depth;
  const int end_k = first_k + t.slice_depth < t.k ? first_k + t.slice_depth : t.k;
  return {static_cast<int>(blockIdx.x % blocks) * columns, first_k, end_k, z % t.batch, z};
}

/// Sixteen bytes of float32.
struct alignas(16) Float4 {
  float v[4];
};
__device__ __forceinline__ Float4 load_if(bool exists, const float* from) {
  if (exists) return *reinterpret_cast<const Float4*>(from);
  return {};
}

/// Adds up kCount numbers of each lane over the lanes of the warp, and passes the sums to f(index,
/// sum), each on one lane. In each step a lane gives away half of the numbers that it still has, for
/// the other half of a lane kApart from it: about kCount shuffles in all, not 5 kCount.
/// first: the index of x[0].
template <int kCount, int kApart = 16, int kAll, class F>
__device__ __forceinline__ void add_lanes(float (&x)[kAll], const F& f, int first = 0) {
  const bool upper = threadIdx.x & kApart;
  if constexpr (kApart == 0) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) f(first + i, x[i]);
  } else if constexpr (kCount > 1) {
    constexpr int kHalf = kCount / 2;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const float other = __shfl_xor_sync(0xffffffff, upper ? x[i] : x[i + kHalf], kApart);
      x[i] = (upper ? x[i + kHalf] : x[i]) + other;
    }
    add_lanes<kHalf, kApart / 2>(x, f, upper ? first + kHalf : first);
  } else {
    x[0] += __shfl_xor_sync(0xffffffff, x[0], kApart);
    // Both have the sum now: one is enough.
    add_lanes<1, kApart / 2>(
        x,
        [&](int index, float sum) {
          if (!upper) f(index, sum);
        },
        first);
  }
}

/// y = x W in float32, kRows >= r. A lane takes 4 of k of each of 4 columns at once. W's neighbours
/// lie along k: then a warp has 4 columns for itself, and 128 of k at once; or along the columns:
/// then it has 32 columns, and 16 of k. Either way a block has 32 columns.
template <Along kAlong, int kRows>
__global__ void __launch_bounds__(32 * kWarps, kRows == 1 ? 2 : 1)
    thin_float(Task t, Matrices<float*> y) {
  constexpr int kColumns = 32, kBatch = kRows == 16 ? 1 : kRows == 8 ? 2 : 4;
  constexpr int kStep = kAlong == Along::k ? 128 : 16 * kWarps;
  const Part part = part_of_block(t, kColumns);
  const float* x = static_cast<const float*>(t.x.data) + part.batch * t.x.batch;
  const float* w = static_cast<const float*>(t.w.data) + part.batch * t.w.batch;
  float* out = y.data + part.z * y.batch;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = part.first_column + (kAlong == Along::k ? warp : lane % 8) * 4;
  const int first = part.first_k + (kAlong == Along::k ? lane : warp * 4 + lane / 8) * 4;
  float sums[kRows * 4] = {};  // [row][column]

  for (int begin = first; begin < part.end_k; begin += kBatch * kStep) {
    Float4 weights[kBatch][4];  // each has four neighbours of W
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int k = begin + i * kStep;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int n = kAlong == Along::k ? column + j : column;
        const float* from =
            kAlong == Along::k ? w + n * t.w.column + k : w + (k + j) * t.w.row + column;
        weights[i][j] = load_if(n < t.n && k < part.end_k, from);
      }
    }
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int k = begin + i * kStep;
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        const Float4 four = load_if(row < t.r && k < part.end_k, x + row * t.x.row + k);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
          for (int l = 0; l < 4; ++l) {
            const float weight = kAlong == Along::k ? weights[i][j].v[l] : weights[i][l].v[j];
            sums[row * 4 + j] += four.v[l] * weight;
          }
        }
      }
    }
  }

  if constexpr (kAlong == Along::k) {
    add_lanes<kRows * 4>(sums, [&](int index, float sum) {
      const int i = index / 4, n = column + index % 4;
      if (i < t.r && n < t.n) out[i * y.row + n * y.column] = sum;
    });
  } else {
    __shared__ float all[kWarps][kRows][kColumns];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sums[i * 4 + j] += __shfl_xor_sync(0xffffffff, sums[i * 4 + j], 8);
        sums[i * 4 + j] += __shfl_xor_sync(0xffffffff, sums[i * 4 + j], 16);
        if (lane < 8) all[warp][i][lane * 4 + j] = sums[i * 4 + j];
      }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < kRows * kColumns; at += 32 * kWarps) {
      const int i = at / kColumns, n = part.first_column + at % kColumns;
      float sum = 0;
      for (int from = 0; from < kWarps; ++from) sum += all[from][i][at % kColumns];
      if (i < t.r && n < t.n) out[i * y.row + n * y.column] = sum;
    }
  }
}

}  // namespace needle::NEEDLE_GPU::thin
