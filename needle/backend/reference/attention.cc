// Rotary embedding and attention, by their definitions.  (Lesson 06)
#include <cmath>
#include <limits>
#include <numeric>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// One query head and the key head it reads.
struct Head {
  int64_t batch;
  int64_t query;
  int64_t key;
};

/// Calls f(head) for every query head of every batch element. q (batch, heads, tq, d),
/// k (batch, kv_heads, tk, d); neighbouring query heads share a key head.
template <class F>
void for_each_head(const Reals& q, const Reals& k, F f) {
  for (size_t b = 0; b < q.shape(0); ++b) {
    for (size_t h = 0; h < q.shape(1); ++h) {
      const size_t group = q.shape(1) / k.shape(1);
      f(Head{static_cast<int64_t>(b), static_cast<int64_t>(h), static_cast<int64_t>(h / group)});
    }
  }
}

/// a[b, g, i, :] . c[b, h, j, :]
double dot(const Reals& a, int64_t b, int64_t g, int64_t i, const Reals& c, int64_t h, int64_t j) {
  // Pointers, because indices would take most of the time.
  const size_t d = a.shape(3);
  const double* x = a.data() + ((b * a.shape(1) + g) * a.shape(2) + i) * d;
  const double* y = c.data() + ((b * c.shape(1) + h) * c.shape(2) + j) * d;
  return std::inner_product(x, x + d, y, Sum{0});
}

/// How many keys, from the first, query i sees. The last query sees all of them.
int64_t visible_keys(bool causal, int64_t i, int64_t tq, int64_t tk) {
  return causal ? std::max<int64_t>(i + tk - tq + 1, 0) : tk;
}

}  // namespace

void rotary(bool inverse, const View& x_view, const View& cos_view, const View& sin_view,
            const View& out) {
  const Reals cos = reals(cos_view);
  const Reals sin = reals(sin_view);
  Reals x = reals(x_view);
  const size_t half = x.shape(3) / 2;
  for (size_t b = 0; b < x.shape(0); ++b) {
    for (size_t h = 0; h < x.shape(1); ++h) {
      for (size_t t = 0; t < x.shape(2); ++t) {
        for (size_t i = 0; i < half; ++i) {
          const double c = cos(t, i);
          const double s = inverse ? -sin(t, i) : sin(t, i);
          const double first = x(b, h, t, i);
          const double second = x(b, h, t, i + half);
          x(b, h, t, i) = first * c - second * s;
          x(b, h, t, i + half) = second * c + first * s;
        }
      }
    }
  }
  store(x, out);
}

void attention(bool causal, double scale, const View& q_view, const View& k_view,
               const View& v_view, const View& out_view, const View& lse_view) {
  const Reals q = reals(q_view);
  const Reals k = reals(k_view);
  const Reals v = reals(v_view);
  const int64_t tq = q.shape(2);
  const int64_t tk = k.shape(2);
  // A query that sees no key: out = 0, lse = log(0).
  Reals out = xt::zeros<double>(sizes(out_view.shape));
  Reals lse(sizes(lse_view.shape), -std::numeric_limits<double>::infinity());
  std::vector<double> score(tk);
  for_each_head(q, k, [&](const Head& at) {
    for (int64_t i = 0; i < tq; ++i) {
      const int64_t keys = visible_keys(causal, i, tq, tk);
      if (keys == 0) continue;
      double top = -std::numeric_limits<double>::infinity();
      for (int64_t j = 0; j < keys; ++j) {
        score[j] = scale * dot(q, at.batch, at.query, i, k, at.key, j);
        top = maximum(top, score[j]);
      }
      double sum = 0;
      for (int64_t j = 0; j < keys; ++j) sum += std::exp(score[j] - top);
      lse(at.batch, at.query, i) = top + std::log(sum);
      for (int64_t j = 0; j < keys; ++j) {
        const double p = std::exp(score[j] - top) / sum;
        for (size_t t = 0; t < v.shape(3); ++t) {
          out(at.batch, at.query, i, t) += p * v(at.batch, at.key, j, t);
        }
      }
    }
  });
  store(out, out_view);
  store(lse, lse_view);
}

void attention_backward(bool causal, double scale, const View& q_view, const View& k_view,
                        const View& v_view, const View& out_view, const View& lse_view,
                        const View& dout_view, const View& dq_view, const View& dk_view,
                        const View& dv_view) {
  const Reals q = reals(q_view);
  const Reals k = reals(k_view);
  const Reals v = reals(v_view);
  const Reals out = reals(out_view);
  const Reals lse = reals(lse_view);
  const Reals dout = reals(dout_view);
  const int64_t tq = q.shape(2);
  const int64_t tk = k.shape(2);
  Reals dq = xt::zeros<double>(sizes(dq_view.shape));
  Reals dk = xt::zeros<double>(sizes(dk_view.shape));
  Reals dv = xt::zeros<double>(sizes(dv_view.shape));
  for_each_head(q, k, [&](const Head& at) {
    const auto [b, h, g] = at;
    for (int64_t i = 0; i < tq; ++i) {
      // The gradient through the sum of the softmax: sum_j p[j] * dp[j] = out . dout.
      const double shared = dot(out, b, h, i, dout, h, i);
      const int64_t keys = visible_keys(causal, i, tq, tk);
      for (int64_t j = 0; j < keys; ++j) {
        const double p = std::exp(scale * dot(q, b, h, i, k, g, j) - lse(b, h, i));
        const double dp = dot(dout, b, h, i, v, g, j);
        const double dscore = scale * p * (dp - shared);
        for (size_t t = 0; t < q.shape(3); ++t) {
          dq(b, h, i, t) += dscore * k(b, g, j, t);
          dk(b, g, j, t) += dscore * q(b, h, i, t);
          dv(b, g, j, t) += p * dout(b, h, i, t);
        }
      }
    }
  });
  store(dq, dq_view);
  store(dk, dk_view);
  store(dv, dv_view);
}

}  // namespace needle::reference
