// The gradients of attention.  (Lessons 04 and 06)
//
// With p = exp(scale q k^T - lse), dp = dout v^T and shared = the sum over keys of p dp, which is
// out . dout: ds = scale p (dp - shared), dq = ds k, dk = ds^T q, dv = p^T dout. Scores are computed
// again, from lse. One kernel walks over the keys of a tile of queries, for dq, and one over the
// queries of a tile of keys, for dk and dv: each result has one writer, so no atomics are needed, and
// the same bits come out each time. Dao, FlashAttention-2 (arXiv 2307.08691), section 3.1.
// Limit: 14 tq tk d FLOPs.
#include "cuda/kernels/attention.cuh"
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

/// 64 queries by 64 keys where four tiles and two squares fit into half of a multiprocessor's shared
/// memory, else 32, or the 16 that fit at all; 16, too, where there are no more queries.
template <class T, int kD, bool few>
inline constexpr int kBackwardRows = few                      ? 1
                                     : sizeof(T) * kD <= 256  ? 4
                                     : sizeof(T) * kD <= 1024 ? 2
                                                              : 1;

/// shared (batch, heads, tq), compact: out . dout of each query. A warp for each.
template <class T>
__global__ void shared_kernel(const Walk<2> rows, int64_t d, int64_t out_step, int64_t dout_step,
                              T* shared) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows.size) return;
  int64_t at[2];
  rows.locate(row, at);
  const T* out = reinterpret_cast<const T*>(rows.data[0] + at[0]);
  const T* dout = reinterpret_cast<const T*>(rows.data[1] + at[1]);
  T sum = 0;
  for (int64_t t = threadIdx.x; t < d; t += 32) sum += out[t * out_step] * dout[t * dout_step];
  sum = across_warp(sum, Plus{});
  if (threadIdx.x == 0) shared[row] = sum;
}

/// What both kernels read.
template <class T>
struct Inputs {
  Heads<T> q, k, v, dout, lse;
  const T* shared;
};

/// p and ds of a tile of queries and one of keys, into two squares. Where a query does not see a key,
/// both are 0.
template <class T, int kD, int kRows>
__device__ void tile_gradients(const Attention& a, const Inputs<T>& in, T scale, int64_t b,
                               int64_t h, int64_t query, int64_t key,
                               const RowTile<T, kD, kRows> (&tile)[4],
                               const SquareTile<T, kRows>& p, const SquareTile<T, kRows>& ds) {
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  T score[kRows][kRows], dp[kRows][kRows];
  dot_rows(tile[0], tile[1], score);  // q . k
  dot_rows(tile[3], tile[2], dp);     // dout . v
  for (int i = 0; i < kRows; ++i) {
    const int64_t row = query + y + 16 * i;
    const bool inside = row < a.tq;
    const int64_t end = inside ? a.keys_of(row) : 0;
    const T lse = inside ? in.lse.head(b, h)[row * in.lse.stride[2]] : T(0);
    const T shared = inside ? in.shared[(b * a.heads + h) * a.tq + row] : T(0);
    for (int j = 0; j < kRows; ++j) {
      const bool sees = key + x + 16 * j < end;
      const T weight = sees ? std::exp(scale * score[i][j] - lse) : T(0);
      p.at(y + 16 * i, x + 16 * j) = weight;
      ds.at(y + 16 * i, x + 16 * j) = sees ? scale * weight * (dp[i][j] - shared) : T(0);
    }
  }
}

template <class T, int kD, int rows>
struct Layout {
  static constexpr int kRows = rows;
  using Tile = RowTile<T, kD, kRows>;
  using Square = SquareTile<T, kRows>;
  static constexpr size_t kBytes = 4 * Tile::kBytes + 2 * Square::kBytes;
};

template <class T, int kD, int kRows>
__global__ void __launch_bounds__(256, 1)
    query_gradient_kernel(const Attention a, T scale, const Inputs<T> in, const Heads<T> dq) {
  using L = Layout<T, kD, kRows>;
  using Tile = typename L::Tile;
  NEEDLE_DYNAMIC_SHARED(T, memory);
  constexpr size_t each = Tile::kBytes / sizeof(T);
  const Tile tile[4] = {{memory}, {memory + each}, {memory + 2 * each}, {memory + 3 * each}};
  const typename L::Square p{memory + 4 * each}, ds{p.data + L::Square::kBytes / sizeof(T)};
  const int64_t first = int64_t{blockIdx.x} * Tile::kCount;
  const int64_t h = blockIdx.y, g = h / (a.heads / a.kv_heads), b = blockIdx.z;

  tile[0].load(in.q.head(b, h), in.q.stride[2], in.q.stride[3], first, a.tq, a.d);
  tile[3].load(in.dout.head(b, h), in.dout.stride[2], in.dout.stride[3], first, a.tq, a.d);
  T total[L::kRows][kD / 16] = {};
  const int64_t visible = a.keys_of(least(first + Tile::kCount, a.tq) - 1);
  for (int64_t key = 0; key < visible; key += Tile::kCount) {
    __syncthreads();
    tile[1].load(in.k.head(b, g), in.k.stride[2], in.k.stride[3], key, a.tk, a.d);
    tile[2].load(in.v.head(b, g), in.v.stride[2], in.v.stride[3], key, a.tk, a.d);
    __syncthreads();
    tile_gradients(a, in, scale, b, h, first, key, tile, p, ds);
    __syncthreads();
    add_rows<false>(ds, tile[1], total);
  }
  store_rows<T, kD, L::kRows>(total, dq.head(b, h), dq.stride[2], dq.stride[3], first, a.tq, a.d);
}

template <class T, int kD, int kRows>
__global__ void __launch_bounds__(256, 1)
    key_gradient_kernel(const Attention a, T scale, const Inputs<T> in, const Heads<T> dk,
                        const Heads<T> dv) {
  using L = Layout<T, kD, kRows>;
  using Tile = typename L::Tile;
  NEEDLE_DYNAMIC_SHARED(T, memory);
  constexpr size_t each = Tile::kBytes / sizeof(T);
  const Tile tile[4] = {{memory}, {memory + each}, {memory + 2 * each}, {memory + 3 * each}};
  const typename L::Square p{memory + 4 * each}, ds{p.data + L::Square::kBytes / sizeof(T)};
  const int64_t first = int64_t{blockIdx.x} * Tile::kCount;
  const int64_t g = blockIdx.y, b = blockIdx.z, group = a.heads / a.kv_heads;

  tile[1].load(in.k.head(b, g), in.k.stride[2], in.k.stride[3], first, a.tk, a.d);
  tile[2].load(in.v.head(b, g), in.v.stride[2], in.v.stride[3], first, a.tk, a.d);
  T dks[L::kRows][kD / 16] = {}, dvs[L::kRows][kD / 16] = {};
  // The first query that sees the tile's first key; later keys are seen by later ones.
  const int64_t earliest = a.causal ? first - (a.tk - a.tq) : 0;
  const int64_t start = earliest < 0 ? 0 : earliest / Tile::kCount * Tile::kCount;
  for (int64_t h = g * group; h < (g + 1) * group; ++h) {
    for (int64_t query = start; query < a.tq; query += Tile::kCount) {
      __syncthreads();
      tile[0].load(in.q.head(b, h), in.q.stride[2], in.q.stride[3], query, a.tq, a.d);
      tile[3].load(in.dout.head(b, h), in.dout.stride[2], in.dout.stride[3], query, a.tq, a.d);
      __syncthreads();
      tile_gradients(a, in, scale, b, h, query, first, tile, p, ds);
      __syncthreads();
      add_rows<true>(ds, tile[0], dks);
      add_rows<true>(p, tile[3], dvs);
    }
  }
  store_rows<T, kD, L::kRows>(dks, dk.head(b, g), dk.stride[2], dk.stride[3], first, a.tk, a.d);
  store_rows<T, kD, L::kRows>(dvs, dv.head(b, g), dv.stride[2], dv.stride[3], first, a.tk, a.d);
}

/// Blocks of `rows` along the rows of x, one for each head and batch element.
dim3 grid_over(const View& x, int64_t rows) {
  return dim3(static_cast<unsigned>(ceil_div(x.shape[2], rows)), static_cast<unsigned>(x.shape[1]),
              static_cast<unsigned>(x.shape[0]));
}

/// x at index 0 of its last axis.
View rows_only(const View& x) {
  View part = x;
  part.shape[3] = 1;
  return part;
}

}  // namespace

void attention_backward(bool causal, double scale, const View& q, const View& k, const View& v,
                        const View& out, const View& lse, const View& dout, const View& dq,
                        const View& dk, const View& dv) {
  const Attention a(causal, q, k);
  const auto rows = walk(Order::row_major, rows_only(out), rows_only(dout));
  const Workspace shared(static_cast<size_t>(rows.size * size_of(q.dtype)));
  visit_tiles(q.dtype, a, [&]<class T, class Width, class Few>(Tag<T>, Width, Few) {
    constexpr int kD = Width::value, kRows = kBackwardRows<T, kD, Few::value>;
    using L = Layout<T, kD, kRows>;
    const Inputs<T> in{Heads<T>(q),    Heads<T>(k),   Heads<T>(v),
                       Heads<T>(dout), Heads<T>(lse), shared.as<T>()};
    const auto factor = static_cast<T>(scale);
    if (rows.size > 0) {
      NEEDLE_LAUNCH((shared_kernel<T>), static_cast<unsigned>(ceil_div(rows.size, 8)), dim3(32, 8),
                    0, rows, a.d, out.strides[3], dout.strides[3], shared.as<T>());
    }
    if (dq.size() > 0) {
      NEEDLE_LAUNCH((query_gradient_kernel<T, kD, kRows>), grid_over(dq, L::Tile::kCount), 256,
                    L::kBytes, a, factor, in, Heads<T>(dq));
    }
    if (dk.size() > 0) {
      NEEDLE_LAUNCH((key_gradient_kernel<T, kD, kRows>), grid_over(dk, L::Tile::kCount), 256,
                    L::kBytes, a, factor, in, Heads<T>(dk), Heads<T>(dv));
    }
  });
}

}  // namespace needle::NEEDLE_GPU
