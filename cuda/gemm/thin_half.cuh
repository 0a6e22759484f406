// thin.cuh for numbers of two bytes: the tensor cores multiply what was loaded.  (Lesson 04)
//
// The limit is still that of reading W: 13 bytes a cycle and multiprocessor. For 16 rows that would be
// 104 multiply-adds a cycle of 128, and the conversions to float32 beside them; mma needs 1 % of that.
//
// The idea. W takes the place of mma's left operand, (16, 16), x^T that of its right one, (16, 8).
// Which of k goes to which place of the operands does not matter, as long as it is the same in both:
// so a thread's places take the 16 bytes that it has loaded, in the order in which they came.
#pragma once

#include "cuda/gemm/mma.cuh"
#include "cuda/gemm/thin.cuh"

namespace needle::NEEDLE_GPU::thin {

__device__ __forceinline__ uint4 load_16_if(bool exists, const void* from) {
  return exists ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
}
__device__ __forceinline__ uint2 load_8_if(bool exists, const void* from) {
  return exists ? *static_cast<const uint2*>(from) : make_uint2(0, 0);
}
/// The lower (or upper) halves of two words.
__device__ __forceinline__ uint32_t lower(uint32_t a, uint32_t b) {
  return __byte_perm(a, b, 0x5410);
}
__device__ __forceinline__ uint32_t upper(uint32_t a, uint32_t b) {
  return __byte_perm(a, b, 0x7632);
}

/// Columns of a block.
template <Along kAlong>
inline constexpr int kColumns = kAlong == Along::k ? 32 : 64;

/// y = x W; kEights x 8 >= r. Out: T or float.
template <class T, class Out, Along kAlong, int kEights>
__global__ void __launch_bounds__(32 * kWarps) thin_half(Task t, Matrices<Out*> y) {
  constexpr int kMmas = kColumns<kAlong> / 16;
  constexpr int kDepth = kAlong == Along::k ? 32 : 16;  // of k, that a warp loads at once
  __shared__ float all[kWarps][8 * kEights][kColumns<kAlong> + 1];
  const Part part = part_of_block(t, kColumns<kAlong>);
  const T* x = static_cast<const T*>(t.x.data) + part.batch * t.x.batch;
  const T* w = static_cast<const T*>(t.w.data) + part.batch * t.w.batch;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = lane / 4, quad = lane % 4;  // of mma's places: row (or column), and pair of k
  float sums[kMmas][kEights][4] = {};

#pragma unroll 4
  for (int first = part.first_k + warp * kDepth; first < part.end_k; first += kWarps * kDepth) {
    if constexpr (kAlong == Along::k) {
      // Thread (group, quad): 8 of k, of columns `group`, 8 + group, ... and of rows likewise.
      const int k = first + quad * 8;
      uint4 weights[2 * kMmas], rows[kEights];
#pragma unroll
      for (int j = 0; j < 2 * kMmas; ++j) {
        const int n = part.first_column + j * 8 + group;
        weights[j] = load_16_if(n < t.n && k < part.end_k, w + n * t.w.column + k);
      }
#pragma unroll
      for (int i = 0; i < kEights; ++i) {
        const int row = i * 8 + group;
        rows[i] = load_16_if(row < t.r && k < part.end_k, x + row * t.x.row + k);
      }
#pragma unroll
      for (int j = 0; j < kMmas; ++j) {
        const uint4 a = weights[2 * j], b = weights[2 * j + 1];
#pragma unroll
        for (int i = 0; i < kEights; ++i) {
          mma::multiply<T>(sums[j][i], {a.x, b.x, a.y, b.y}, rows[i].x, rows[i].y);
          mma::multiply<T>(sums[j][i], {a.z, b.z, a.w, b.w}, rows[i].z, rows[i].w);
        }
      }
    } else {
      // Thread (group, quad): 4 of k, of 8 columns from 8 group on; of rows as above.
      const int k = first + quad * 4, n = part.first_column + group * 8;
      uint4 weights[4];
      uint2 rows[kEights];
#pragma unroll
      for (int l = 0; l < 4; ++l) {
        weights[l] = load_16_if(n < t.n && k + l < part.end_k, w + (k + l) * t.w.row + n);
      }
#pragma unroll
      for (int i = 0; i < kEights; ++i) {
        const int row = i * 8 + group;
        rows[i] = load_8_if(row < t.r && k < part.end_k, x + row * t.x.row + k);
      }
      // Words of a line hold two columns each; mma wants two of k in a word.
      const auto all_sums = [&](int j, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
#pragma unroll
        for (int i = 0; i < kEights; ++i) {
          mma::multiply<T>(sums[j][i], {lower(a, b), upper(a, b), lower(c, d), upper(c, d)},
                           rows[i].x, rows[i].y);
        }
      };
      all_sums(0, weights[0].x, weights[1].x, weights[2].x, weights[3].x);
      all_sums(1, weights[0].y, weights[1].y, weights[2].y, weights[3].y);
      all_sums(2, weights[0].z, weights[1].z, weights[2].z, weights[3].z);
      all_sums(3, weights[0].w, weights[1].w, weights[2].w, weights[3].w);
    }
  }

#pragma unroll
  for (int j = 0; j < kMmas; ++j) {
#pragma unroll
    for (int i = 0; i < kEights; ++i) {
#pragma unroll
      for (int s = 0; s < 4; ++s) {
        const int column =
            kAlong == Along::k ? j * 16 + s / 2 * 8 + group : group * 8 + j * 2 + s / 2;
        all[warp][i * 8 + quad * 2 + s % 2][column] = sums[j][i][s];
      }
    }
  }
  __syncthreads();
  Out* out = y.data + part.z * y.batch;
  for (int at = threadIdx.x; at < 8 * kEights * kColumns<kAlong>; at += 32 * kWarps) {
    const int i = at / kColumns<kAlong>, column = at % kColumns<kAlong>;
    const int n = part.first_column + column;
    float sum = 0;
#pragma unroll
    for (int from = 0; from < kWarps; ++from) sum += all[from][i][column];
    if (i < t.r && n < t.n) out[i * y.row + n * y.column] = static_cast<Out>(sum);
  }
}

}  // namespace needle::NEEDLE_GPU::thin
