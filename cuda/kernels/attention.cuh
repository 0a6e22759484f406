// What the attention kernels have in common: tiles of rows in shared memory, and the two products
// that are made of them.  (Lessons 04 and 06)
//
// 256 threads, a square of 16 x 16. A tile has 16 * kRows rows; thread (x, y) works on its rows
// y + 16 i, i < kRows, so that the 16 threads which share a row are half a warp.
#pragma once

#include "cuda/kernels/map.cuh"

namespace needle::NEEDLE_GPU {

/// (batch, heads, rows, d) or, for a statistic, (batch, heads, rows).
template <class T>
struct Heads {
  T* data;
  int64_t stride[4];

  explicit Heads(const View& x) : data(x.as<T>()) {
    for (int axis = 0; axis < 4; ++axis) stride[axis] = axis < x.ndim() ? x.strides[axis] : 0;
  }
  /// Row 0 of a head.
  __device__ T* head(int64_t batch, int64_t head) const {
    return data + batch * stride[0] + head * stride[1];
  }
};

/// Sizes of a call. Query i sees keys j < i + reach, and j < tk.
struct Attention {
  int64_t heads, kv_heads, tq, tk, d;
  bool causal;

  Attention(bool causal, const View& q, const View& k)
      : heads(q.shape[1]),
        kv_heads(k.shape[1]),
        tq(q.shape[2]),
        tk(k.shape[2]),
        d(q.shape[3]),
        causal(causal) {}
  __device__ int64_t keys_of(int64_t query) const {
    if (!causal) return tk;
    const int64_t keys = query + tk - tq + 1;
    return keys < 0 ? 0 : least(keys, tk);
  }
};

/// Rows of d numbers, filled up with zeros to kD, in shared memory. A row is 16 bytes longer, so
/// that the same piece of 16 bytes of neighbouring rows lies in different banks.
template <class T, int kD, int kRows>
struct RowTile {
  static constexpr int V = 16 / sizeof(T);
  static constexpr int kStride = kD + V;
  static constexpr int kCount = 16 * kRows;
  static constexpr size_t kBytes = sizeof(T) * kStride * kCount;
  T* data;

  /// Rows begin, begin + 1, ... of `count` at `from`.
  __device__ void load(const T* from, int64_t row_step, int64_t step, int64_t begin, int64_t count,
                       int64_t d) const {
    for (int e = static_cast<int>(threadIdx.x); e < kCount * kD; e += 256) {
      const int row = e / kD, t = e % kD;
      const bool inside = begin + row < count && t < d;
      data[row * kStride + t] = inside ? from[(begin + row) * row_step + t * step] : T(0);
    }
  }
  __device__ Pack<T, V> piece(int row, int t) const {
    return *reinterpret_cast<const Pack<T, V>*>(data + row * kStride + t);
  }
};

/// A square tile of numbers, one for each query and key. Padded by one against bank conflicts.
template <class T, int kRows>
struct SquareTile {
  static constexpr int kStride = 16 * kRows + 1;
  static constexpr size_t kBytes = (sizeof(T) * kStride * 16 * kRows + 15) / 16 * 16;
  T* data;

  __device__ T& at(int row, int column) const { return data[row * kStride + column]; }
};

/// sum[i][j] = row y + 16 i of a . row x + 16 j of b.
template <class T, int kD, int kRows>
__device__ void dot_rows(const RowTile<T, kD, kRows>& a, const RowTile<T, kD, kRows>& b,
                         T (&sum)[kRows][kRows]) {
  constexpr int V = 16 / sizeof(T);
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kRows; ++j) sum[i][j] = 0;
  }
#pragma unroll 4
  for (int t = 0; t < kD; t += V) {
    Pack<T, V> left[kRows], right[kRows];
    for (int i = 0; i < kRows; ++i) left[i] = a.piece(y + 16 * i, t);
    for (int j = 0; j < kRows; ++j) right[j] = b.piece(x + 16 * j, t);
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kRows; ++j) {
        for (int v = 0; v < V; ++v) sum[i][j] += left[i].at[v] * right[j].at[v];
      }
    }
  }
}

/// total[i][c] += sum over the rows j of b of p(y + 16 i, j) * b[j][x + 16 c]. `across` takes p
/// transposed: p(j, y + 16 i).
template <bool across, class T, int kD, int kRows>
__device__ void add_rows(const SquareTile<T, kRows>& p, const RowTile<T, kD, kRows>& b,
                         T (&total)[kRows][kD / 16]) {
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
#pragma unroll 2
  for (int j = 0; j < 16 * kRows; ++j) {
    T weight[kRows];
    for (int i = 0; i < kRows; ++i) {
      weight[i] = across ? p.at(j, y + 16 * i) : p.at(y + 16 * i, j);
    }
    for (int c = 0; c < kD / 16; ++c) {
      const T value = b.data[j * RowTile<T, kD, kRows>::kStride + x + 16 * c];
      for (int i = 0; i < kRows; ++i) total[i][c] += weight[i] * value;
    }
  }
}

/// Writes totals to rows begin + y + 16 i of a head.
template <class T, int kD, int kRows>
__device__ void store_rows(const T (&total)[kRows][kD / 16], T* to, int64_t row_step, int64_t step,
                           int64_t begin, int64_t count, int64_t d) {
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  for (int i = 0; i < kRows; ++i) {
    const int64_t row = begin + y + 16 * i;
    if (row >= count) continue;
    for (int c = 0; c < kD / 16; ++c) {
      if (x + 16 * c < d) to[row * row_step + (x + 16 * c) * step] = total[i][c];
    }
  }
}

/// join(...) of the 16 threads that share a row.
template <class T, class Join>
__device__ T across_half_warp(T value, Join join) {
  for (int distance = 8; distance > 0; distance /= 2) {
    value = join(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

/// f(Tag<T>{}, width, few) for the least width, 16 ... 256, that holds a.d, and whether there are at
/// most 16 queries. ValueError if no width does.
template <class F>
void visit_tiles(DType t, const Attention& a, F f) {
  if (a.d > 256) {
    throw ValueError(str("attention: heads of size ", a.d, "; on a GPU at most 256"));
  }
  visit_floating(t, [&](auto tag) {
    const auto with_width = [&](auto width) {
      if (a.tq <= 16) {
        f(tag, width, std::true_type{});
      } else {
        f(tag, width, std::false_type{});
      }
    };
    if (a.d <= 16) return with_width(std::integral_constant<int, 16>{});
    if (a.d <= 32) return with_width(std::integral_constant<int, 32>{});
    if (a.d <= 64) return with_width(std::integral_constant<int, 64>{});
    if (a.d <= 128) return with_width(std::integral_constant<int, 128>{});
    with_width(std::integral_constant<int, 256>{});
  });
}

}  // namespace needle::NEEDLE_GPU
