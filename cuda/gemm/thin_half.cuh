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

/// A word of 8 or 16 bytes, or zeros.
template <class Word>
__device__ __forceinline__ Word load_if(bool exists, const void* from) {
  return exists ? *static_cast<const Word*>(from) : Word{};
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
__global__ void __launch_bounds__(32 * kWarps, kEights == 1 ? 2 : 1)
    thin_half(Task t, Matrices<Out*> y) {
  constexpr int kMmas = kColumns<kAlong> / 16;
  constexpr int kDepth = kAlong == Along::k ? 32 : 16;  // of k, in a warp's loads
  constexpr int kBatch = 4;                             // loads that are under way together
  using Rows = std::conditional_t<kAlong == Along::k, uint4, uint2>;
  __shared__ float all[kWarps][8 * kEights][kColumns<kAlong> + 1];
  const Part part = part_of_block(t, kColumns<kAlong>);
  const T* x = static_cast<const T*>(t.x.data) + part.batch * t.x.batch;
  const T* w = static_cast<const T*>(t.w.data) + part.batch * t.w.batch;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = lane / 4, quad = lane % 4;  // of mma's places: row (or column), and pair of k
  float sums[kMmas][kEights][4] = {};

  for (int begin = part.first_k + warp * kDepth; begin < part.end_k;
       begin += kBatch * kWarps * kDepth) {
    uint4 weights[kBatch][4];
    Rows rows[kBatch][kEights];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      // Thread (group, quad). Along k: 8 of k, of columns `group`, 8 + group, ... Along the columns:
      // 4 of k, of 8 columns from 8 group on. Of rows `group` (and 8 + group) as many of k.
      const int k = begin + b * kWarps * kDepth + quad * (kDepth / 4);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int n = part.first_column + (kAlong == Along::k ? j * 8 + group : group * 8);
        const T* from = kAlong == Along::k ? w + n * t.w.column + k : w + (k + j) * t.w.row + n;
        const bool exists = kAlong == Along::k ? k < part.end_k : k + j < part.end_k;
        weights[b][j] = load_if<uint4>(n < t.n && exists, from);
      }
#pragma unroll
      for (int i = 0; i < kEights; ++i) {
        const int row = i * 8 + group;
        rows[b][i] = load_if<Rows>(row < t.r && k < part.end_k, x + row * t.x.row + k);
      }
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const auto& w4 = weights[b];
      if constexpr (kAlong == Along::k) {
#pragma unroll
        for (int j = 0; j < kMmas; ++j) {
          const uint4 low = w4[2 * j], high = w4[2 * j + 1];
#pragma unroll
          for (int i = 0; i < kEights; ++i) {
            const Rows r = rows[b][i];
            mma::multiply<T>(sums[j][i], {low.x, high.x, low.y, high.y}, r.x, r.y);
            mma::multiply<T>(sums[j][i], {low.z, high.z, low.w, high.w}, r.z, r.w);
          }
        }
      } else {
        // Words of a line hold two columns each; mma wants two of k in a word.
        const auto all_sums = [&](int j, uint32_t a, uint32_t b0, uint32_t c, uint32_t d) {
#pragma unroll
          for (int i = 0; i < kEights; ++i) {
            mma::multiply<T>(sums[j][i], {lower(a, b0), upper(a, b0), lower(c, d), upper(c, d)},
                             rows[b][i].x, rows[b][i].y);
          }
        };
        all_sums(0, w4[0].x, w4[1].x, w4[2].x, w4[3].x);
        all_sums(1, w4[0].y, w4[1].y, w4[2].y, w4[3].y);
        all_sums(2, w4[0].z, w4[1].z, w4[2].z, w4[3].z);
        all_sums(3, w4[0].w, w4[1].w, w4[2].w, w4[3].w);
      }
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
