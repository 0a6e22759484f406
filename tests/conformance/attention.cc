// rotary, attention and attention_backward against the reference.  (Lesson 06)
#include <cmath>

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("attention");

TEST_CASE("rotary") {
  for_each_device(&Kernels::rotary, "rotary", [](Device device) {
    const Shape all[] = {{1, 1, 1, 2},   {2, 3, 5, 8},   {1, 2, 7, 64}, {2, 1, 17, 34},
                         {1, 3, 33, 6},  {0, 2, 3, 4},   {2, 3, 0, 8},  {2, 2, 3, 0},
                         {2, 4, 65, 32}, {3, 9, 129, 64}};
    for (bool inverse : {false, true}) {
      for (DType dtype : kFloating) {
        for (const Shape& shape : all) {
          for (Layout layout : input_layouts(4)) {
            for (Layout out_layout : output_layouts(4)) {
              if (shape.size() > 10000 && layout != out_layout) continue;
              CAPTURE(inverse);
              CAPTURE(dtype);
              CAPTURE(shape);
              CAPTURE(layout);
              CAPTURE(out_layout);
              Comparison c(device);
              const Shape angles = {shape[2], shape[3] / 2};
              const Layout angle_layout =
                  layout == Layout::flipped ? Layout::transposed : Layout::compact;
              const Pair x = c.input(shape, dtype, layout);
              const Pair cos = c.input(angles, dtype, angle_layout);
              const Pair sin = c.input(angles, dtype, angle_layout);
              const Pair out = c.output(shape, dtype, out_layout);
              c.run([&](const Kernels& k, Side s) {
                k.rotary(inverse, x[s], cos[s], sin[s], out[s]);
              });
              CHECK(c.difference(out, {.scale = 1}) == "");
            }
          }
        }
      }
    }
  });
}

namespace {

struct Sizes {
  int64_t batch, heads, kv_heads, tq, tk, d;
};

struct Layouts {
  Layout q = Layout::compact;
  Layout kv = Layout::compact;
  Layout out = Layout::compact;
};

void check(Device device, DType dtype, bool causal, const Sizes& size, const Layouts& layout = {}) {
  CAPTURE(dtype);
  CAPTURE(causal);
  CAPTURE(size.batch);
  CAPTURE(size.heads);
  CAPTURE(size.kv_heads);
  CAPTURE(size.tq);
  CAPTURE(size.tk);
  CAPTURE(size.d);
  CAPTURE(layout.q);
  CAPTURE(layout.kv);
  CAPTURE(layout.out);
  const Shape q_shape = {size.batch, size.heads, size.tq, size.d};
  const Shape kv_shape = {size.batch, size.kv_heads, size.tk, size.d};
  const Shape lse_shape = {size.batch, size.heads, size.tq};
  const double scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(size.d, 1)));
  Comparison c(device);
  const Pair q = c.input(q_shape, dtype, layout.q);
  const Pair k = c.input(kv_shape, dtype, layout.kv);
  const Pair v = c.input(kv_shape, dtype, layout.kv);
  const Pair out = c.output(q_shape, dtype, layout.out);
  const Pair lse = c.output(lse_shape, dtype, layout.out);
  c.run([&](const Kernels& table, Side s) {
    table.attention(causal, scale, q[s], k[s], v[s], out[s], lse[s]);
  });
  // A mean of values of size 1, weighted by exp of sums of d products.
  // Constant vectors make large scores, and a weight is as far off as its score is in absolute terms.
  const int64_t terms = size.d + size.tk;
  const bool constant = layout.q == Layout::broadcast_last;
  const double times = constant ? 2 * std::sqrt(static_cast<double>(size.d)) : 2;
  CHECK(c.difference(out, {.terms = terms, .scale = 1, .times = times}) == "");
  CHECK(c.difference(lse, {.terms = terms, .scale = 1, .times = times}) == "");

  if (!kernels(device).attention_backward) return;
  // Both sides from the reference's out and lse.
  const Pair out_in = c.output(q_shape, dtype, layout.out);
  const Pair lse_in = c.output(lse_shape, dtype, layout.out);
  const Side s = want;
  reference_kernels.attention(causal, scale, q[s], k[s], v[s], out_in[s], lse_in[s]);
  reference_kernels.copy(out_in[want], out_in[got]);
  reference_kernels.copy(lse_in[want], lse_in[got]);
  const Pair dout = c.input(q_shape, dtype, layout.q);
  const Pair dq = c.output(q_shape, dtype, layout.out);
  const Pair dk = c.output(kv_shape, dtype, layout.out);
  const Pair dv = c.output(kv_shape, dtype, layout.out);
  c.run([&](const Kernels& table, Side s) {
    table.attention_backward(causal, scale, q[s], k[s], v[s], out_in[s], lse_in[s], dout[s], dq[s],
                             dk[s], dv[s]);
  });
  // Sums of tq * group or tk terms that may cancel; constant vectors make all products large.
  const int64_t group = size.heads / size.kv_heads;
  double sum = std::sqrt(static_cast<double>(1 + size.tq * group + size.tk));
  if (constant) sum *= std::sqrt(static_cast<double>(size.d));
  const Tolerance tolerance{.terms = terms, .scale = sum, .normwise = true, .times = times};
  CHECK(c.difference(dq, tolerance) == "");
  CHECK(c.difference(dk, tolerance) == "");
  CHECK(c.difference(dv, tolerance) == "");
}

}  // namespace

TEST_CASE("attention of many sizes") {
  for_each_device(&Kernels::attention, "attention", [](Device device) {
    for (DType dtype : kFloating) {
      for (bool causal : {false, true}) {
        for (int64_t tq : {1, 2, 7, 16, 33, 65}) {
          for (int64_t tk : {1, 7, 17, 64, 65, 129}) {
            for (int64_t d : {1, 8, 17}) check(device, dtype, causal, {2, 2, 1, tq, tk, d});
          }
        }
        for (int64_t d : {2, 7, 15, 16, 31, 32, 33, 63, 64, 65, 80, 100, 128}) {
          check(device, dtype, causal, {1, 2, 2, 9, 11, d});
        }
        // Grouped heads, long rows, decoding, more queries than keys, empty ones.
        check(device, dtype, causal, {2, 6, 2, 17, 17, 8});
        check(device, dtype, causal, {1, 9, 3, 33, 33, 64});
        check(device, dtype, causal, {3, 4, 1, 1, 257, 16});
        check(device, dtype, causal, {1, 1, 1, 129, 129, 32});
        check(device, dtype, causal, {1, 2, 2, 40, 1027, 8});
        check(device, dtype, causal, {1, 2, 2, 100, 3, 16});
        check(device, dtype, causal, {0, 2, 2, 3, 3, 4});
        check(device, dtype, causal, {2, 2, 1, 0, 3, 4});
        check(device, dtype, causal, {2, 2, 1, 3, 0, 4});
      }
    }
  });
}

TEST_CASE("attention in every layout") {
  for_each_device(&Kernels::attention, "attention", [](Device device) {
    for (DType dtype : kFloating) {
      for (bool causal : {false, true}) {
        for (Layout q : input_layouts(4)) {
          for (Layout kv : input_layouts(4)) {
            check(device, dtype, causal, {2, 4, 2, 9, 17, 16}, {q, kv});
            check(device, dtype, causal, {2, 4, 2, 1, 17, 7}, {q, kv});
          }
          // lse has no more than three axes, so it takes every layout too.
          for (Layout out : output_layouts(3)) {
            check(device, dtype, causal, {2, 4, 2, 9, 17, 16}, {q, Layout::interleaved, out});
          }
        }
      }
    }
  });
}

TEST_SUITE_END();
