// The reference backend itself, held against what does not come from it: hand-worked values, known
// answers, identities between slots, and central differences for every backward kernel.
// (Lessons 02 and 03)
#include <cmath>
#include <functional>

#include "needle/backend/random.h"
#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("reference");

namespace {

const Kernels& ref = reference_kernels;
constexpr Device kReference{Device::reference};

NDArray empty(const Shape& shape, DType dtype = DType::float64) {
  return NDArray::empty(shape, dtype, kReference);
}

NDArray normal(const Shape& shape, uint64_t seed) {
  NDArray out = empty(shape);
  ref.random(Random::normal, seed, 0, out.view());
  return out;
}

double largest_difference(const NDArray& a, const NDArray& b) {
  double largest = a.shape() == b.shape() ? 0 : INFINITY;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(value_at(a.view(), i) - value_at(b.view(), i));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/// sum(a * b): a scalar function of a, whose gradient by a is b.
double weighted(const NDArray& a, const NDArray& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += value_at(a.view(), i) * value_at(b.view(), i);
  return sum;
}

/// df / dx by central differences. x is changed and changed back.
NDArray numeric_gradient(const NDArray& x, const std::function<double()>& f) {
  constexpr double kStep = 1e-5;
  NDArray gradient = empty(x.shape());
  double* element = x.data<double>();
  for (int64_t i = 0; i < x.size(); ++i) {
    const double before = element[i];
    element[i] = before + kStep;
    const double above = f();
    element[i] = before - kStep;
    const double below = f();
    element[i] = before;
    gradient.data<double>()[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

}  // namespace

TEST_CASE("philox gives the published answers") {
  // Random123, tests/kat_vectors: philox4x32 10 with counter 0, key 0.
  const Philox zero = philox(0, 0);
  CHECK(zero.word[0] == 0x6627e8d5);
  CHECK(zero.word[1] == 0xe169c58d);
  CHECK(zero.word[2] == 0xbc57ac4c);
  CHECK(zero.word[3] == 0x9b00dbd8);
  NDArray out = empty({4});
  ref.random(Random::uniform, 0, 0, out.view());
  CHECK(list(out)[0] == 0x6627e8 / 16777216.0);
  CHECK(list(out)[3] == 0x9b00db / 16777216.0);
}

TEST_CASE("random: any part of a stream can be made alone; mean and variance are right") {
  for (Random kind : {Random::uniform, Random::normal}) {
    const NDArray all = empty({40000});
    ref.random(kind, 5, 0, all.view());
    const NDArray part = empty({100});
    ref.random(kind, 5, 37, part.view());
    CHECK(largest_difference(part, all.slice(0, {37, 137})) == 0);
    const bool uniform = kind == Random::uniform;
    const double n = static_cast<double>(all.size());
    const double mean = weighted(all, filled(all.shape(), 1, DType::float64, kReference)) / n;
    const double variance = weighted(all, all) / n - mean * mean;
    CHECK(std::abs(mean - (uniform ? 0.5 : 0)) < 0.02);
    CHECK(std::abs(variance - (uniform ? 1.0 / 12 : 1)) < 0.03);
  }
}

TEST_CASE("copy truncates, and gives the smallest int for what fits none") {
  const NDArray x = array({6}, {2.9, -2.9, NAN, 1e30, 2147483647.5, -2147483648.5});
  const NDArray out = empty({6}, DType::int32);
  ref.copy(x.view(), out.view());
  const double smallest = -2147483648.0;
  CHECK(list(out) == std::vector<double>{2, -2, smallest, smallest, 2147483647, smallest});
}

TEST_CASE("reduce, arg_reduce and matmul of hand-worked arrays") {
  const NDArray x = array({2, 3}, {1, -2, 3, 4, 5, -6});
  const NDArray rows = empty({2, 1});
  ref.reduce(Reduce::sum, x.view(), rows.view());
  CHECK(list(rows) == std::vector<double>{2, 3});
  ref.reduce(Reduce::prod, x.view(), rows.view());
  CHECK(list(rows) == std::vector<double>{-6, -120});
  const NDArray columns = empty({1, 3});
  ref.reduce(Reduce::max, x.view(), columns.view());
  CHECK(list(columns) == std::vector<double>{4, 5, 3});
  ref.reduce(Reduce::min, x.view(), columns.view());
  CHECK(list(columns) == std::vector<double>{1, -2, -6});
  const NDArray all = empty({1, 1});
  ref.reduce(Reduce::sum, x.view(), all.view());
  CHECK(list(all) == std::vector<double>{5});
  const NDArray index = empty({2, 1}, DType::int64);
  ref.arg_reduce(ArgReduce::argmin, x.view(), 1, index.view());
  CHECK(list(index) == std::vector<double>{1, 2});
  const NDArray ties = array({5}, {1, NAN, 7, NAN, 7});
  const NDArray first = empty({1}, DType::int64);
  ref.arg_reduce(ArgReduce::argmax, ties.view(), 0, first.view());
  CHECK(list(first) == std::vector<double>{1});

  const NDArray product = empty({2, 2});
  ref.matmul(x.view(), x.transpose(0, 1).view(), product.view());
  CHECK(list(product) == std::vector<double>{14, -24, -24, 77});
  const NDArray empty_sum = empty({1, 3});
  ref.reduce(Reduce::sum, empty({0, 3}).view(), empty_sum.view());
  CHECK(list(empty_sum) == std::vector<double>{0, 0, 0});
  ref.reduce(Reduce::prod, empty({0, 3}).view(), empty_sum.view());
  CHECK(list(empty_sum) == std::vector<double>{1, 1, 1});
}

TEST_CASE("float32 is summed in float64") {
  const NDArray x = filled({1, 1000003}, 0.1, DType::float32, kReference);
  const NDArray sum = empty({1, 1}, DType::float32);
  ref.reduce(Reduce::sum, x.view(), sum.view());
  CHECK(list(sum)[0] == static_cast<float>(1000003 * static_cast<double>(0.1f)));
}

TEST_CASE("softmax and cross_entropy agree with one another") {
  const NDArray x = normal({4, 7}, 1);
  const NDArray p = empty({4, 7});
  const NDArray log_p = empty({4, 7});
  ref.softmax(false, x.view(), p.view());
  ref.softmax(true, x.view(), log_p.view());
  const NDArray sum = empty({4, 1});
  ref.reduce(Reduce::sum, p.view(), sum.view());
  CHECK(largest_difference(sum, filled({4, 1}, 1, DType::float64, kReference)) < 1e-15);
  const NDArray power = empty({4, 7});
  ref.unary(Unary::exp, log_p.view(), power.view());
  CHECK(largest_difference(power, p) < 1e-15);

  const NDArray labels = NDArray::of<int64_t>(std::vector<int64_t>{6, 0, -100, 3}, {4}, kReference);
  const NDArray loss = empty({4});
  const NDArray lse = empty({4});
  ref.cross_entropy(x.view(), labels.view(), loss.view(), lse.view());
  const std::vector<double> q = list(log_p);
  CHECK(std::abs(list(loss)[0] + q[6]) < 1e-14);
  CHECK(std::abs(list(loss)[1] + q[7]) < 1e-14);
  CHECK(list(loss)[2] == 0);
  CHECK(std::abs(list(loss)[3] + q[24]) < 1e-14);
}

TEST_CASE("a normalised row has mean 0 and variance 1") {
  const NDArray x = normal({3, 50}, 2);
  const NDArray y = empty({3, 50});
  const NDArray mean = empty({3});
  const NDArray rstd = empty({3});
  ref.norm(Norm::layer, 0, x.view(), View(), View(), y.view(), mean.view(), rstd.view());
  const NDArray ones = filled({50}, 1, DType::float64, kReference);
  for (int row = 0; row < 3; ++row) {
    const NDArray values = y.select(0, row);
    CHECK(std::abs(weighted(values, ones)) < 1e-12);
    CHECK(std::abs(weighted(values, values) / 50 - 1) < 1e-12);
  }
  ref.norm(Norm::rms, 0, x.view(), View(), View(), y.view(), mean.view(), rstd.view());
  CHECK(std::abs(weighted(y.select(0, 1), y.select(0, 1)) / 50 - 1) < 1e-12);
}

TEST_CASE("rotary turns a quarter as written, and inverse turns back") {
  const NDArray x = array({1, 1, 1, 4}, {1, 2, 3, 4});
  const NDArray y = empty({1, 1, 1, 4});
  // A quarter turn of the pairs (1, 3) and (2, 4).
  ref.rotary(false, x.view(), array({1, 2}, {0, 0}).view(), array({1, 2}, {1, 1}).view(), y.view());
  CHECK(list(y) == std::vector<double>{-3, -4, 1, 2});

  const NDArray z = normal({2, 3, 5, 8}, 3);
  const NDArray angle = normal({5, 4}, 4);
  const NDArray cos = empty({5, 4});
  const NDArray sin = empty({5, 4});
  ref.unary(Unary::cos, angle.view(), cos.view());
  ref.unary(Unary::sin, angle.view(), sin.view());
  const NDArray turned = empty(z.shape());
  const NDArray back = empty(z.shape());
  ref.rotary(false, z.view(), cos.view(), sin.view(), turned.view());
  ref.rotary(true, turned.view(), cos.view(), sin.view(), back.view());
  CHECK(largest_difference(back, z) < 1e-14);
  CHECK(largest_difference(turned, z) > 0.1);
}

TEST_CASE("attention is softmax(q k^T * scale + mask) v, made of its parts") {
  const int64_t tq = 5, tk = 7, d = 4;
  const NDArray q = normal({2, 6, tq, d}, 1);
  const NDArray k = normal({2, 3, tk, d}, 2);
  const NDArray v = normal({2, 3, tk, d}, 3);
  for (bool causal : {false, true}) {
    const NDArray out = empty(q.shape());
    const NDArray lse = empty({2, 6, tq});
    ref.attention(causal, 0.5, q.view(), k.view(), v.view(), out.view(), lse.view());
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 6; ++h) {
        const auto head = [&](const NDArray& x, int64_t i) { return x.select(0, b).select(0, i); };
        const NDArray scores = empty({tq, tk});
        const NDArray p = empty({tq, tk});
        const NDArray expected = empty({tq, d});
        ref.matmul(head(q, h).view(), head(k, h / 2).transpose(0, 1).view(), scores.view());
        for (int64_t i = 0; i < tq; ++i) {
          for (int64_t j = 0; j < tk; ++j) {
            double& score = scores.data<double>()[i * tk + j];
            score = causal && j > i + tk - tq ? -INFINITY : score * 0.5;
          }
        }
        ref.softmax(false, scores.view(), p.view());
        ref.matmul(p.view(), head(v, h / 2).view(), expected.view());
        CHECK(largest_difference(head(out, h), expected) < 1e-14);
      }
    }
  }
}

TEST_CASE("unary_backward is the slope of unary") {
  for (int op = 0; op < kUnaries; ++op) {
    const auto unary = static_cast<Unary>(op);
    CAPTURE(op);
    NDArray x = normal({23}, 9);
    const bool positive = unary == Unary::log || unary == Unary::log1p || unary == Unary::sqrt ||
                          unary == Unary::rsqrt;
    for (int64_t i = 0; positive && i < x.size(); ++i) {
      x.data<double>()[i] = 0.5 + std::abs(x.data<double>()[i]);
    }
    const NDArray y = empty(x.shape());
    const NDArray dy = normal(x.shape(), 10);
    const auto f = [&] {
      ref.unary(unary, x.view(), y.view());
      return weighted(y, dy);
    };
    const NDArray expected = numeric_gradient(x, f);
    f();
    const NDArray dx = empty(x.shape());
    ref.unary_backward(unary, x.view(), y.view(), dy.view(), dx.view());
    CHECK(largest_difference(dx, expected) < 1e-8);
  }
}

TEST_CASE("softmax_backward and cross_entropy_backward are slopes") {
  const NDArray x = normal({3, 5}, 1);
  const NDArray dx = empty(x.shape());
  for (bool log : {false, true}) {
    const NDArray y = empty(x.shape());
    const NDArray dy = normal(x.shape(), 2);
    const auto f = [&] {
      ref.softmax(log, x.view(), y.view());
      return weighted(y, dy);
    };
    const NDArray expected = numeric_gradient(x, f);
    f();
    ref.softmax_backward(log, y.view(), dy.view(), dx.view());
    CHECK(largest_difference(dx, expected) < 1e-8);
  }

  const NDArray labels = NDArray::of<int64_t>(std::vector<int64_t>{4, -100, 1}, {3}, kReference);
  const NDArray loss = empty({3});
  const NDArray lse = empty({3});
  const NDArray dloss = normal({3}, 3);
  const auto f = [&] {
    ref.cross_entropy(x.view(), labels.view(), loss.view(), lse.view());
    return weighted(loss, dloss);
  };
  const NDArray expected = numeric_gradient(x, f);
  f();
  ref.cross_entropy_backward(x.view(), labels.view(), lse.view(), dloss.view(), dx.view());
  CHECK(largest_difference(dx, expected) < 1e-8);
}

TEST_CASE("norm_backward is the slope of norm in all three arguments") {
  for (Norm kind : {Norm::rms, Norm::layer}) {
    CAPTURE(kind == Norm::rms);
    const NDArray x = normal({4, 6}, 1);
    const NDArray weight = normal({6}, 2);
    const NDArray bias = normal({6}, 3);
    const View bias_view = kind == Norm::layer ? bias.view() : View();
    const NDArray y = empty(x.shape());
    const NDArray dy = normal(x.shape(), 4);
    const NDArray mean = empty({4});
    const NDArray rstd = empty({4});
    const auto f = [&] {
      ref.norm(kind, 1e-5, x.view(), weight.view(), bias_view, y.view(), mean.view(), rstd.view());
      return weighted(y, dy);
    };
    const NDArray expected_x = numeric_gradient(x, f);
    const NDArray expected_weight = numeric_gradient(weight, f);
    const NDArray expected_bias = numeric_gradient(bias, f);
    f();
    const NDArray dx = empty(x.shape());
    const NDArray dweight = empty({6});
    const NDArray dbias = filled({6}, 0, DType::float64, kReference);
    const View dbias_view = kind == Norm::layer ? dbias.view() : View();
    ref.norm_backward(kind, x.view(), weight.view(), mean.view(), rstd.view(), dy.view(), dx.view(),
                      dweight.view(), dbias_view);
    CHECK(largest_difference(dx, expected_x) < 1e-8);
    CHECK(largest_difference(dweight, expected_weight) < 1e-8);
    CHECK(largest_difference(dbias, expected_bias) < 1e-8);
  }
}

TEST_CASE("attention_backward is the slope of attention in q, k and v") {
  for (bool causal : {false, true}) {
    const NDArray q = normal({2, 4, 3, 4}, 1);
    const NDArray k = normal({2, 2, 5, 4}, 2);
    const NDArray v = normal({2, 2, 5, 4}, 3);
    const NDArray dout = normal(q.shape(), 4);
    const NDArray out = empty(q.shape());
    const NDArray lse = empty({2, 4, 3});
    const auto f = [&] {
      ref.attention(causal, 0.5, q.view(), k.view(), v.view(), out.view(), lse.view());
      return weighted(out, dout);
    };
    const NDArray expected_q = numeric_gradient(q, f);
    const NDArray expected_k = numeric_gradient(k, f);
    const NDArray expected_v = numeric_gradient(v, f);
    f();
    const NDArray dq = empty(q.shape());
    const NDArray dk = empty(k.shape());
    const NDArray dv = empty(v.shape());
    ref.attention_backward(causal, 0.5, q.view(), k.view(), v.view(), out.view(), lse.view(),
                           dout.view(), dq.view(), dk.view(), dv.view());
    CHECK(largest_difference(dq, expected_q) < 1e-8);
    CHECK(largest_difference(dk, expected_k) < 1e-8);
    CHECK(largest_difference(dv, expected_v) < 1e-8);
  }
}

TEST_CASE("scatter_rows is the transpose of gather") {
  const NDArray table = normal({6, 3}, 1);
  const NDArray x = normal({4, 3}, 2);
  const NDArray index = NDArray::of<int64_t>(std::vector<int64_t>{5, 0, 5, 2}, {4}, kReference);
  const NDArray picked = empty({4, 3});
  ref.gather(table.view(), index.view(), picked.view());
  CHECK(value_at(picked.view(), 0) == value_at(table.view(), 15));
  const NDArray sums = filled({6, 3}, 7, DType::float64, kReference);  // all of it is written
  ref.scatter_rows(index.view(), x.view(), sums.view());
  CHECK(std::abs(weighted(picked, x) - weighted(table, sums)) < 1e-14);
}

TEST_CASE("adamw's first step moves by lr against the sign of the gradient") {
  const NDArray p = array({3}, {1, 2, 3});
  const NDArray g = array({3}, {0.5, -4, 0});
  const NDArray m = array({3}, {0, 0, 0});
  const NDArray v = array({3}, {0, 0, 0});
  const AdamWStep step{.lr = 0.1,
                       .beta1 = 0.9,
                       .beta2 = 0.99,
                       .eps = 1e-12,  // enough to make 0 / 0 in the element without gradient 0
                       .weight_decay = 0.5,
                       .correction1 = 1 - 0.9,
                       .correction2 = 1 - 0.99};
  ref.adamw(step, p.view(), g.view(), m.view(), v.view());
  const NDArray expected = array({3}, {1 - 0.1 - 0.05, 2 + 0.1 - 0.1, 3 - 0.15});
  CHECK(largest_difference(p, expected) < 1e-11);
  CHECK(largest_difference(m, array({3}, {0.05, -0.4, 0})) < 1e-15);
  CHECK(largest_difference(v, array({3}, {0.0025, 0.16, 0})) < 1e-15);
}

TEST_SUITE_END();
