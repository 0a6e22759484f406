// Scaled dot-product attention with grouped heads.  (Lesson 06)
//
// Vaswani et al. (arXiv 1706.03762); grouped heads: Ainslie et al. (arXiv 2305.13245).
#include <cmath>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Inputs: q (batch, heads, tq, d), k and v (batch, kv_heads, tk, d).
struct Attention final : Op {
  bool causal;
  double scale;
  NDArray lse;  // (batch, heads, tq), log of each query's sum of weights; left by forward

  Attention(bool c, double s) : causal(c), scale(s) {}
  const char* name() const override { return "scaled_dot_product_attention"; }

  Spec spec(Specs in) const override {
    const Shape& q = in[0].shape;
    const Shape& k = in[1].shape;
    bool fits = q.ndim() == 4 && k.ndim() == 4 && k == in[2].shape && q[0] == k[0] && q[3] == k[3];
    fits = fits && (k[1] ? q[1] % k[1] == 0 : q[1] == 0);
    if (!fits) {
      throw ValueError(str(name(), ": q ", q, ", k ", k, ", v ", in[2].shape,
                           "; wanted (batch, heads, tq, d), (batch, kv_heads, tk, d) twice, heads "
                           "a multiple of kv_heads"));
    }
    if (causal ? k[2] < q[2] : k[2] == 0 && q[2] != 0) {
      throw ValueError(
          str(name(), ": ", q[2], " queries for ", k[2], " keys: some query would see no key"));
    }
    return in[0];
  }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    lse = NDArray::empty({out.shape(0), out.shape(1), out.shape(2)}, out.dtype(), out.device());
    slot(k, &Kernels::attention, name())(causal, scale, in[0].view(), in[1].view(), in[2].view(),
                                         out.view(), lse.view());
  }

  uint32_t saves() const override { return kInputs | kOutput; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return grad_enabled() ? composed(dy, c) : fused(dy, c);
  }

  Tensors fused(const Tensor& dy, const Context& c) const {
    Tensors partial;
    for (int i = 0; i < 3; ++i) {
      partial.push_back(Tensor(NDArray::empty(c.shape(i), dy.dtype(), dy.device())));
    }
    slot(kernels(dy.device()), &Kernels::attention_backward, name())(
        causal, scale, c.input(0).value().view(), c.input(1).value().view(),
        c.input(2).value().view(), c.output().value().view(), lse.view(), dy.value().view(),
        partial[0].value().view(), partial[1].value().view(), partial[2].value().view());
    return partial;
  }

  /// The same in public ops. Heads of one group form an axis of their own, (batch, kv_heads, group,
  /// t, d), so that keys and values broadcast over it and sum_to adds their gradients up.
  Tensors composed(const Tensor& dy, const Context& c) const {
    const Shape& qs = c.shape(0);
    const Shape& ks = c.shape(1);
    const Shape grouped{qs[0], ks[1], ks[1] ? qs[1] / ks[1] : 1, qs[2], qs[3]};
    const Shape spread{ks[0], ks[1], 1, ks[2], ks[3]};
    const Tensor q = reshape(c.input(0), grouped);
    const Tensor k = reshape(c.input(1), spread);
    const Tensor v = reshape(c.input(2), spread);
    const Tensor g = reshape(dy, grouped);
    Tensor scores = mul(matmul(q, transpose(k, -1, -2)), scale);
    if (causal) {
      const Tensor seen = to_device(visible(qs[2], ks[2]), scores.device());
      scores = where(seen, scores, scalar_like(scores, -INFINITY));
    }
    const Tensor p = softmax(scores);
    const Tensor dp = matmul(g, transpose(v, -1, -2));
    const Tensor ds = mul(mul(p, sub(dp, sum(mul(dp, p), Shape{-1}, true))), scale);
    return {reshape(matmul(ds, k), qs),
            reshape(sum_to(matmul(transpose(ds, -1, -2), q), spread), ks),
            reshape(sum_to(matmul(transpose(p, -1, -2), g), spread), ks)};
  }

  /// (tq, tk) bool: key j <= i + tk - tq.
  static Tensor visible(int64_t queries, int64_t keys) {
    const Tensor i = unsqueeze(arange(0, static_cast<double>(queries)), 1);
    const Tensor j = arange(0, static_cast<double>(keys));
    return less_equal(j, add(i, static_cast<double>(keys - queries)));
  }
};

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v, bool causal,
                                    std::optional<double> scale) {
  if (!is_floating(q.dtype()))
    throw TypeError(str("scaled_dot_product_attention: q is ", q.dtype(), ", not floating"));
  const double d = q.ndim() ? static_cast<double>(q.shape().back()) : 1;
  return apply_op<Attention>({q, cast(k, q.dtype()), cast(v, q.dtype())}, causal,
                             scale.value_or(1 / std::sqrt(d)));
}

}  // namespace needle
