// Rotary embedding, and attention in one pass.  (Lessons 04 and 06)
#include "cuda/kernels/attention.cuh"
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

/// V pairs a thread. Operands of the walk, over (batch, heads, seq, d/2): the first and the second
/// half of out, those of x, cos, sin. Limit: reading x once and writing out once.
template <class T, int V>
__global__ void rotary_kernel(const Walk<6> w, bool inverse) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  if (i >= w.size) return;
  int64_t at[6];
  w.locate(i, at);
  const auto read = [&](int k) { return load_pack<T, V>(w.data[k] + at[k], w.step(k)); };
  const Pack<T, V> first = read(2), second = read(3), cos = read(4), sin = read(5);
  Pack<T, V> x, y;
  for (int j = 0; j < V; ++j) {
    const T s = inverse ? -sin.at[j] : sin.at[j];
    x.at[j] = first.at[j] * cos.at[j] - second.at[j] * s;
    y.at[j] = second.at[j] * cos.at[j] + first.at[j] * s;
  }
  *reinterpret_cast<Pack<T, V>*>(w.data[0] + at[0]) = x;
  *reinterpret_cast<Pack<T, V>*>(w.data[1] + at[1]) = y;
}

/// 64 queries by 64 keys where they fit into half of a multiprocessor's shared memory, else 32; or
/// 16 where there are no more queries.
template <class T, int kD, bool few>
inline constexpr int kForwardRows = few                     ? 1
                                    : sizeof(T) * kD <= 512 ? 4
                                                            : 2;

/// A block has a tile of queries and walks over the tiles of keys: scores, their largest so far, the
/// sum of exp(score - largest) and the weighted sum of values stay in registers and shared memory.
/// Dao et al., FlashAttention (arXiv 2205.14135). Limit: 4 tq tk d FLOPs; no score sees memory.
template <class T, int kD, int kRows>
__global__ void __launch_bounds__(256, sizeof(T) == 8 || kD > 64 ? 1 : 2)
    attention_kernel(const Attention a, T scale, const Heads<T> q, const Heads<T> k,
                     const Heads<T> v, const Heads<T> out, const Heads<T> lse) {
  using Tile = RowTile<T, kD, kRows>;
  using Square = SquareTile<T, kRows>;
  NEEDLE_DYNAMIC_SHARED(T, shared);
  const Tile queries{shared}, keys{shared + Tile::kBytes / sizeof(T)};  // keys, then values
  const Square weights{keys.data + Tile::kBytes / sizeof(T)};
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int64_t first = int64_t{blockIdx.x} * Tile::kCount;
  const int64_t h = blockIdx.y, g = h / (a.heads / a.kv_heads), b = blockIdx.z;

  queries.load(q.head(b, h), q.stride[2], q.stride[3], first, a.tq, a.d);
  T top[kRows], sum[kRows], total[kRows][kD / 16] = {};
  for (int i = 0; i < kRows; ++i) {
    top[i] = -INFINITY;
    sum[i] = 0;
  }
  const int64_t visible = a.keys_of(least(first + Tile::kCount, a.tq) - 1);
  for (int64_t begin = 0; begin < visible; begin += Tile::kCount) {
    __syncthreads();  // the last tile has been used
    keys.load(k.head(b, g), k.stride[2], k.stride[3], begin, a.tk, a.d);
    __syncthreads();
    T score[kRows][kRows];
    dot_rows(queries, keys, score);
    for (int i = 0; i < kRows; ++i) {
      const int64_t end = a.keys_of(first + y + 16 * i);
      T largest = top[i];
      for (int j = 0; j < kRows; ++j) {
        score[i][j] = begin + x + 16 * j < end ? score[i][j] * scale : T(-INFINITY);
        largest = Larger{}(largest, score[i][j]);
      }
      largest = across_half_warp(largest, Larger{});
      // A query that sees no key yet: nothing to shrink, and exp(-inf - 0) = 0.
      const T base = largest == T(-INFINITY) ? T(0) : largest;
      const T shrink = std::exp(top[i] - base);
      T part = 0;
      for (int j = 0; j < kRows; ++j) {
        const T weight = std::exp(score[i][j] - base);
        weights.at(y + 16 * i, x + 16 * j) = weight;
        part += weight;
      }
      sum[i] = sum[i] * shrink + across_half_warp(part, Plus{});
      top[i] = largest;
      for (int c = 0; c < kD / 16; ++c) total[i][c] *= shrink;
    }
    __syncthreads();  // all have used the keys, and weights are complete
    keys.load(v.head(b, g), v.stride[2], v.stride[3], begin, a.tk, a.d);
    __syncthreads();
    add_rows<false>(weights, keys, total);
  }
  for (int i = 0; i < kRows; ++i) {
    const int64_t row = first + y + 16 * i;
    const T inverse = sum[i] == 0 ? T(0) : 1 / sum[i];
    for (int c = 0; c < kD / 16; ++c) total[i][c] *= inverse;
    if (x == 0 && row < a.tq) {
      lse.head(b, h)[row * lse.stride[2]] = sum[i] == 0 ? T(-INFINITY) : top[i] + std::log(sum[i]);
    }
  }
  store_rows<T, kD, kRows>(total, out.head(b, h), out.stride[2], out.stride[3], first, a.tq, a.d);
}

/// The pairs' first or second numbers: half of x's last axis.
View half(const View& x, int which) {
  View part = x;
  const int last = x.ndim() - 1;
  part.shape[last] = x.shape[last] / 2;
  part.data =
      static_cast<char*>(x.data) + which * part.shape[last] * x.strides[last] * size_of(x.dtype);
  return part;
}

/// cos or sin (seq, d/2) seen in the shape of `pairs`.
View over(const View& angles, const View& pairs) {
  View part = pairs;
  part.data = angles.data;
  part.strides[0] = part.strides[1] = 0;
  part.strides[2] = angles.strides[0];
  part.strides[3] = angles.strides[1];
  return part;
}

}  // namespace

void rotary(bool inverse, const View& x, const View& cos, const View& sin, const View& out) {
  const View pairs = half(out, 0);
  if (pairs.size() == 0) return;
  const auto w = walk(Order::memory, pairs, half(out, 1), half(x, 0), half(x, 1), over(cos, pairs),
                      over(sin, pairs));
  const int item = static_cast<int>(size_of(x.dtype)), wide = 16 / item;
  const bool packed = w.size % wide == 0 && w.packs(wide, {item, item, item, item, item, item});
  const auto blocks = static_cast<unsigned>(ceil_div(w.size, int64_t{256} * (packed ? wide : 1)));
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    if (packed) {
      NEEDLE_LAUNCH((rotary_kernel<T, 16 / sizeof(T)>), blocks, 256, 0, w, inverse);
    } else {
      NEEDLE_LAUNCH((rotary_kernel<T, 1>), blocks, 256, 0, w, inverse);
    }
  });
}

void attention(bool causal, double scale, const View& q, const View& k, const View& v,
               const View& out, const View& lse) {
  if (lse.size() == 0) return;
  const Attention a(causal, q, k);
  visit_tiles(q.dtype, a, [&]<class T, class Width, class Few>(Tag<T>, Width, Few) {
    constexpr int kD = Width::value, kRows = kForwardRows<T, kD, Few::value>;
    constexpr size_t shared = 2 * RowTile<T, kD, kRows>::kBytes + SquareTile<T, kRows>::kBytes;
    const dim3 grid(static_cast<unsigned>(ceil_div(a.tq, 16 * kRows)),
                    static_cast<unsigned>(a.heads), static_cast<unsigned>(q.shape[0]));
    NEEDLE_LAUNCH((attention_kernel<T, kD, kRows>), grid, 256, shared, a, static_cast<T>(scale),
                  Heads<T>(q), Heads<T>(k), Heads<T>(v), Heads<T>(out), Heads<T>(lse));
  });
}

}  // namespace needle::NEEDLE_GPU
