// Attention in one pass: the scores of a block of queries never leave the cache.  (Lessons 04, 06)
//
// Forward keeps one number per query, the log of its row sum; backward makes the probabilities
// again from it. Dao et al., FlashAttention (arXiv 2205.14135), with whole rows of scores.
#include <cmath>
#include <limits>

#include "needle/backend/cpu/exp.h"
#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr int64_t kQueries = 64;  // queries per block: 64 x 2048 float scores are 512 KiB of L2

/// One (batch, head) of a view (batch, heads, seq, d) as a matrix (seq, d).
template <class T>
[[gnu::always_inline]] inline Matrix<T> head_of(const View& v, int64_t batch, int64_t head) {
  return {v.as<T>() + batch * v.strides[0] + head * v.strides[1], v.strides[2], v.strides[3]};
}

template <class T>
[[gnu::always_inline]] inline Matrix<const T> from_row(Matrix<T> m, int64_t row) {
  return {m.data + row * m.row, m.row, m.column};
}

struct Sizes {
  int64_t heads, group, queries, keys, d;
  bool causal;

  Sizes(const View& q, const View& k, bool is_causal)
      : heads(q.shape[1]),
        group(k.shape[1] ? q.shape[1] / k.shape[1] : 1),
        queries(q.shape[2]),
        keys(k.shape[2]),
        d(q.shape[3]),
        causal(is_causal) {}

  /// How many keys query i may see.
  [[gnu::always_inline]] int64_t visible(int64_t i) const {
    if (!causal) return keys;
    const int64_t n = i + 1 + keys - queries;
    return n < 0 ? 0 : n > keys ? keys : n;
  }
};

/// exp(x * scale - shift) into y for the first `visible` of n keys, 0 for the rest; the sum.
template <class T>
[[gnu::always_inline]] inline double weights_row(T* y, const T* x, int64_t visible, int64_t n,
                                                 T scale, T shift) {
  Vec<T> sum(T(0));
  vectors<T>(visible, [&] [[gnu::always_inline]] (auto load, auto store) {
    const Vec<T> e =
        exp<T>(load(x, -std::numeric_limits<T>::infinity()) * Vec<T>(scale) - Vec<T>(shift));
    store(y, e);
    sum += e;
  });
  for (int64_t j = visible; j < n; ++j) y[j] = T(0);
  return hsum<T>(sum);
}

template <class T>
void attention_as(bool causal, double scale, const View& q, const View& k, const View& v,
                  const View& out, const View& lse) {
  const Sizes size(q, k, causal);
  const int64_t blocks = (size.queries + kQueries - 1) / kQueries;
  const int64_t work = 4 * kQueries * size.keys * size.d + 1;
  parallel_for(
      q.shape[0] * size.heads * blocks, 1 + 500000 / work, [&](int64_t begin, int64_t end) {
        T* scores = static_cast<T*>(
            scratch(2, static_cast<size_t>(kQueries * (size.keys + size.d)) * sizeof(T)));
        T* result = scores + kQueries * size.keys;
        for (int64_t item = begin; item < end; ++item) {
          const int64_t first = item % blocks * kQueries;
          const int64_t head = item / blocks % size.heads;
          const int64_t batch = item / blocks / size.heads;
          const int64_t rows = size.queries - first < kQueries ? size.queries - first : kQueries;
          const int64_t n = size.visible(first + rows - 1);
          const auto keys = head_of<const T>(k, batch, head / size.group);
          const auto values = head_of<const T>(v, batch, head / size.group);
          gemm<T>(rows, n, size.d, from_row<const T>(head_of<const T>(q, batch, head), first),
                  transposed(keys), {scores, size.keys, 1}, false);
          for (int64_t i = 0; i < rows; ++i) {
            T* row = scores + i * size.keys;
            const int64_t visible = size.visible(first + i);
            const T largest = visible ? row_max<T>(row, visible) * static_cast<T>(scale) : T(0);
            const double sum = weights_row<T>(row, row, visible, n, static_cast<T>(scale), largest);
            const Vec<T> inverse(static_cast<T>(1 / sum));
            vectors<T>(visible,
                       [&](auto load, auto store) { store(row, load(row, T(0)) * inverse); });
            lse.as<T>()[batch * lse.strides[0] + head * lse.strides[1] +
                        (first + i) * lse.strides[2]] =
                static_cast<T>(static_cast<double>(largest) + std::log(sum));
          }
          gemm<T>(rows, size.d, n, {scores, size.keys, 1}, values, {result, size.d, 1}, false);
          const Matrix<T> to = head_of<T>(out, batch, head);
          for (int64_t i = 0; i < rows; ++i) {
            T* row = to.data + (first + i) * to.row;
            for (int64_t c = 0; c < size.d; ++c) row[c * to.column] = result[i * size.d + c];
          }
        }
      });
}

/// With P = softmax(S), S = scale q k^T:  dV = P^T dO,  dP = dO V^T,
/// dS = P * (dP - rowsum(dO * O)),  dQ = scale dS K,  dK = scale dS^T Q.
template <class T>
void attention_backward_as(bool causal, double scale, const View& q, const View& k, const View& v,
                           const View& out, const View& lse, const View& dout, const View& dq,
                           const View& dk, const View& dv) {
  const Sizes size(q, k, causal);
  const int64_t kv_heads = k.shape[1];
  const int64_t d = size.d;
  // All query heads of a key head add into the same dK and dV: they belong to one thread.
  parallel_for(q.shape[0] * kv_heads, 1, [&](int64_t begin, int64_t end) {
    const int64_t floats = 2 * kQueries * size.keys + (kQueries + 2 * size.keys) * d;
    T* p =
        static_cast<T*>(scratch(2, static_cast<size_t>(floats) * sizeof(T)));  // (kQueries, keys)
    T* ds = p + kQueries * size.keys;                                          // (kQueries, keys)
    T* block_dq = ds + kQueries * size.keys;                                   // (kQueries, d)
    T* sum_dk = block_dq + kQueries * d;                                       // (keys, d)
    T* sum_dv = sum_dk + size.keys * d;                                        // (keys, d)
    for (int64_t item = begin; item < end; ++item) {
      const int64_t batch = item / kv_heads;
      const int64_t kv_head = item % kv_heads;
      const auto keys = head_of<const T>(k, batch, kv_head);
      const auto values = head_of<const T>(v, batch, kv_head);
      std::memset(sum_dk, 0, static_cast<size_t>(2 * size.keys * d) * sizeof(T));
      for (int64_t head = kv_head * size.group; head < (kv_head + 1) * size.group; ++head) {
        const auto queries = head_of<const T>(q, batch, head);
        const auto outs = head_of<const T>(out, batch, head);
        const auto douts = head_of<const T>(dout, batch, head);
        const Matrix<T> dqs = head_of<T>(dq, batch, head);
        for (int64_t first = 0; first < size.queries; first += kQueries) {
          const int64_t rows = size.queries - first < kQueries ? size.queries - first : kQueries;
          const int64_t n = size.visible(first + rows - 1);
          const auto q_block = from_row(queries, first);
          const auto do_block = from_row(douts, first);
          gemm<T>(rows, n, d, q_block, transposed(keys), {p, size.keys, 1}, false);
          gemm<T>(rows, n, d, do_block, transposed(values), {ds, size.keys, 1}, false);
          for (int64_t i = 0; i < rows; ++i) {
            const int64_t row = first + i;
            const int64_t visible = size.visible(row);
            const T log_sum =
                lse.as<T>()[batch * lse.strides[0] + head * lse.strides[1] + row * lse.strides[2]];
            double delta = 0;
            for (int64_t c = 0; c < d; ++c) {
              delta += static_cast<double>(outs.data[row * outs.row + c * outs.column]) *
                       static_cast<double>(douts.data[row * douts.row + c * douts.column]);
            }
            T* pi = p + i * size.keys;
            T* dsi = ds + i * size.keys;
            weights_row<T>(pi, pi, visible, n, static_cast<T>(scale), log_sum);
            const Vec<T> shift(static_cast<T>(delta));
            const Vec<T> factor(static_cast<T>(scale));
            vectors<T>(n, [&](auto load, auto store) {
              store(dsi, load(pi, T(0)) * (load(dsi, T(0)) - shift) * factor);
            });
          }
          const Matrix<const T> p_block{p, size.keys, 1};
          const Matrix<const T> ds_block{ds, size.keys, 1};
          gemm<T>(rows, d, n, ds_block, keys, {block_dq, d, 1}, false);
          gemm<T>(n, d, rows, transposed(ds_block), q_block, {sum_dk, d, 1}, true);
          gemm<T>(n, d, rows, transposed(p_block), do_block, {sum_dv, d, 1}, true);
          for (int64_t i = 0; i < rows; ++i) {
            T* to = dqs.data + (first + i) * dqs.row;
            for (int64_t c = 0; c < d; ++c) to[c * dqs.column] = block_dq[i * d + c];
          }
        }
      }
      const Matrix<T> dks = head_of<T>(dk, batch, kv_head);
      const Matrix<T> dvs = head_of<T>(dv, batch, kv_head);
      for (int64_t j = 0; j < size.keys; ++j) {
        for (int64_t c = 0; c < d; ++c) {
          dks.data[j * dks.row + c * dks.column] = sum_dk[j * d + c];
          dvs.data[j * dvs.row + c * dvs.column] = sum_dv[j * d + c];
        }
      }
    }
  });
}

}  // namespace

void attention(bool causal, double scale, const View& q, const View& k, const View& v,
               const View& out, const View& lse) {
  visit_floating(q.dtype, [&](auto tag) {
    attention_as<typename decltype(tag)::type>(causal, scale, q, k, v, out, lse);
  });
}

void attention_backward(bool causal, double scale, const View& q, const View& k, const View& v,
                        const View& out, const View& lse, const View& dout, const View& dq,
                        const View& dk, const View& dv) {
  visit_floating(q.dtype, [&](auto tag) {
    attention_backward_as<typename decltype(tag)::type>(causal, scale, q, k, v, out, lse, dout, dq,
                                                        dk, dv);
  });
}

}  // namespace needle::NEEDLE_ISA
