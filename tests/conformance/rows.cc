// softmax, norm, cross_entropy and their backward kernels against the reference.
// (Lessons 05 and 06)
#include <algorithm>

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("rows");

namespace {

/// Rows of every size of kSizes and of none, no rows, one row, rows in three axes, enough to split over
/// threads.
std::vector<Shape> row_shapes() {
  std::vector<Shape> out = {{9},    {0, 5},    {3, 0},        {3, 0, 7},
                            {1, 1}, {3, 5, 7}, {2, 3, 2, 17}, {67, 257}};
  for (int64_t n : kSizes) out.push_back({5, n});
  return out;
}

Shape without_last(Shape shape) {
  shape.erase(shape.ndim() - 1);
  return shape;
}

/// Rows that a GPU's block holds in registers, keeps in shared memory, and reads again; odd ones, too.
constexpr int64_t kLong[] = {1000, 6144, 9000, 9001, 12288, 16383, 20001, 60001};

/// f(shape, layout, out_layout) with one of the two varied at a time.
template <class F>
void for_each_layout(F f) {
  for (int64_t n : kLong) f(Shape{2, n}, Layout::compact, Layout::compact);
  for (const Shape& shape : row_shapes()) {
    for (Layout layout : input_layouts(shape.ndim())) f(shape, layout, Layout::compact);
    for (Layout layout : output_layouts(shape.ndim())) f(shape, Layout::compact, layout);
  }
}

}  // namespace

TEST_CASE("softmax") {
  for_each_device(&Kernels::softmax, "softmax", [](Device device) {
    for (bool log : {false, true}) {
      for (DType dtype : kFloating) {
        for (Fill fill : {Fill::normal, Fill::large, Fill::special}) {
          for_each_layout([&](const Shape& shape, Layout layout, Layout out_layout) {
            CAPTURE(log);
            CAPTURE(dtype);
            CAPTURE(shape);
            CAPTURE(layout);
            CAPTURE(out_layout);
            CAPTURE(static_cast<int>(fill));
            Comparison c(device);
            const Pair x = c.input(shape, dtype, layout, fill);
            const Pair out = c.output(shape, dtype, out_layout);
            c.run([&](const Kernels& k, Side s) { k.softmax(log, x[s], out[s]); });
            CHECK(c.difference(out, {.terms = shape.back(), .normwise = true, .times = 2}) == "");
          });
        }
      }
    }
  });
}

TEST_CASE("softmax_backward") {
  for_each_device(&Kernels::softmax_backward, "softmax_backward", [](Device device) {
    for (bool log : {false, true}) {
      for (DType dtype : kFloating) {
        for_each_layout([&](const Shape& shape, Layout layout, Layout out_layout) {
          CAPTURE(log);
          CAPTURE(dtype);
          CAPTURE(shape);
          CAPTURE(layout);
          CAPTURE(out_layout);
          Comparison c(device);
          const Pair x = c.input(shape, dtype);
          const Pair y = c.output(shape, dtype);
          for (Side s : {want, got}) reference_kernels.softmax(log, x[s], y[s]);
          const Pair dy = c.input(shape, dtype, layout);
          const Pair dx = c.output(shape, dtype, out_layout);
          c.run([&](const Kernels& k, Side s) { k.softmax_backward(log, y[s], dy[s], dx[s]); });
          // The result is 0 where dy is the same all along a row: measured against its terms.
          // Twice, because equal terms round the same way each time.
          const int64_t n = shape.back();
          CHECK(c.difference(dx, {.terms = n, .scale = 1, .normwise = true, .times = 2}) == "");
          // Any y, and seen through other strides.
          const Pair y2 = c.input(shape, dtype, layout);
          c.run([&](const Kernels& k, Side s) { k.softmax_backward(log, y2[s], dy[s], dx[s]); });
          const double scale = static_cast<double>(n);
          CHECK(c.difference(dx, {.terms = n, .scale = scale, .normwise = true, .times = 2}) == "");
        });
      }
    }
  });
}

namespace {

struct NormCase {
  Norm kind;
  bool weight;
  bool bias;
};
constexpr NormCase kNorms[] = {{Norm::rms, true, false},   {Norm::rms, false, false},
                               {Norm::layer, true, true},  {Norm::layer, true, false},
                               {Norm::layer, false, true}, {Norm::layer, false, false}};

/// Whether all values of a row are the same. They have no spread, so a layer norm turns the rounding
/// of their mean into its result, 1 / sqrt(eps) times as large.
bool is_constant(const Shape& shape, Layout layout) {
  return layout == Layout::broadcast_last ||
         (layout == Layout::broadcast_first && shape.ndim() == 1);
}

void check_norm(Device device, const NormCase& norm, DType dtype, const Shape& shape, Layout layout,
                Layout out_layout, double offset) {
  CAPTURE(norm.kind == Norm::rms);
  CAPTURE(norm.weight);
  CAPTURE(norm.bias);
  CAPTURE(dtype);
  CAPTURE(shape);
  CAPTURE(layout);
  CAPTURE(out_layout);
  CAPTURE(offset);
  Comparison c(device);
  const int64_t n = shape.back();
  const Shape statistics = without_last(shape);
  const auto outs = output_layouts(statistics.ndim());
  const Layout statistics_layout = outs[static_cast<int>(out_layout) % outs.size()];
  const bool broadcast = layout >= Layout::broadcast_first;
  const Pair x = broadcast ? c.input(shape, dtype, layout) : c.inout(shape, dtype, layout);
  for (int64_t i = 0; !broadcast && i < x[want].size(); ++i) {
    set(x, i, value_at(x[want], i) + offset);
  }
  const Layout vector_layout = layout == Layout::transposed ? Layout::sliced : Layout::compact;
  const Pair weight = c.input({n}, dtype, vector_layout);
  const Pair bias = c.input({n}, dtype, vector_layout);
  const Pair out = c.output(shape, dtype, out_layout);
  const Pair mean = c.output(statistics, dtype, statistics_layout);
  const Pair rstd = c.output(statistics, dtype, statistics_layout);
  c.run([&](const Kernels& k, Side s) {
    k.norm(norm.kind, 1e-5, x[s], norm.weight ? weight[s] : View(), norm.bias ? bias[s] : View(),
           out[s], mean[s], rstd[s]);
  });
  // The mean is rounded in units of |x|, and with it every x - mean.
  const double scale = 1 + offset;
  CHECK(c.difference(out, {.terms = n, .scale = scale, .normwise = true, .times = 2}) == "");
  CHECK(c.difference(rstd, {.terms = n, .times = scale}) == "");
  if (norm.kind == Norm::layer) CHECK(c.difference(mean, {.terms = n, .scale = scale}) == "");
}

}  // namespace

TEST_CASE("norm") {
  for_each_device(&Kernels::norm, "norm", [](Device device) {
    for (const NormCase& norm : kNorms) {
      for (DType dtype : kFloating) {
        for_each_layout([&](const Shape& shape, Layout layout, Layout out_layout) {
          if (norm.kind == Norm::layer && is_constant(shape, layout)) return;
          check_norm(device, norm, dtype, shape, layout, out_layout, 0);
        });
        // The variance of values far from 0: a difference of two means would lose it.
        check_norm(device, norm, dtype, {9, 65}, Layout::compact, Layout::compact, 100);
        check_norm(device, norm, dtype, {9, 257}, Layout::sliced, Layout::compact, 100);
      }
    }
  });
}

namespace {

void check_norm_backward(Device device, const NormCase& norm, DType dtype, const Shape& shape,
                         Layout layout, Layout out_layout) {
  CAPTURE(norm.kind == Norm::rms);
  CAPTURE(norm.weight);
  CAPTURE(norm.bias);
  CAPTURE(dtype);
  CAPTURE(shape);
  CAPTURE(layout);
  CAPTURE(out_layout);
  Comparison c(device);
  const int64_t n = shape.back();
  const Layout vector = out_layout == Layout::compact ? Layout::compact : Layout::sliced;
  const Pair x = c.input(shape, dtype, layout);
  const Pair weight = c.input({n}, dtype, vector);
  const Pair dy = c.input(shape, dtype, layout);
  const Pair mean = c.output(without_last(shape), dtype);
  const Pair rstd = c.output(without_last(shape), dtype);
  const Pair dx = c.output(shape, dtype, out_layout);
  const Pair dweight = c.output({n}, dtype, vector);
  const Pair dbias = c.output({n}, dtype, vector);
  c.run([&](const Kernels& k, Side s) {
    const View w = norm.weight ? weight[s] : View();
    reference_kernels.norm(norm.kind, 1e-5, x[s], w, View(), dx[s], mean[s], rstd[s]);
    k.norm_backward(norm.kind, x[s], w, mean[s], rstd[s], dy[s], dx[s],
                    norm.weight ? dweight[s] : View(), norm.bias ? dbias[s] : View());
  });
  // rstd times terms that may cancel.
  double scale = 4;
  for (int64_t i = 0; i < rstd[want].size(); ++i) {
    scale = std::max(scale, 4 * value_at(rstd[want], i));
  }
  CHECK(c.difference(dx, {.terms = n, .scale = scale, .times = 2}) == "");
  const int64_t rows = without_last(shape).size();
  const Tolerance sums{
      .terms = rows, .scale = 1 + 0.5 * static_cast<double>(rows), .normwise = true};
  if (norm.weight) CHECK(c.difference(dweight, sums) == "");
  if (norm.bias) CHECK(c.difference(dbias, sums) == "");
}

}  // namespace

TEST_CASE("norm_backward") {
  for_each_device(&Kernels::norm_backward, "norm_backward", [](Device device) {
    for (const NormCase& norm : kNorms) {
      for (DType dtype : kFloating) {
        for_each_layout([&](const Shape& shape, Layout layout, Layout out_layout) {
          if (norm.kind == Norm::layer && is_constant(shape, layout)) return;
          check_norm_backward(device, norm, dtype, shape, layout, out_layout);
        });
      }
      // So many long rows that a GPU's thread works on several at once, and on more after them.
      check_norm_backward(device, norm, DType::float32, {300, 4100}, Layout::compact,
                          Layout::compact);
    }
  });
}

namespace {

/// Labels (n,) in [0, classes); every seventh row and, if asked, all are ignored.
Pair labels_for(Comparison& c, int64_t n, int64_t classes, Layout layout, bool ignore_all) {
  const Pair labels = c.indices({n}, classes, layout);
  for (int64_t i = 0; i < n; ++i) {
    if (ignore_all || i % 7 == 2) set(labels, i, -100);
  }
  return labels;
}

const std::vector<Shape> kLogits = {{0, 5}, {1, 1}, {17, 1}, {33, 7}, {67, 513}, {2, 4099}};

}  // namespace

TEST_CASE("cross_entropy and its backward kernel") {
  for_each_device(&Kernels::cross_entropy, "cross_entropy", [](Device device) {
    std::vector<Shape> all = kLogits;
    for (int64_t n : kSizes) all.push_back({9, n});
    for (DType dtype : kFloating) {
      for (const Shape& shape : all) {
        for (Layout layout : input_layouts(2)) {
          for (Layout out_layout : output_layouts(2)) {
            if (layout != Layout::compact && out_layout != Layout::compact) continue;
            for (Fill fill : {Fill::normal, Fill::large}) {
              CAPTURE(dtype);
              CAPTURE(shape);
              CAPTURE(layout);
              CAPTURE(out_layout);
              CAPTURE(fill == Fill::large);
              const auto rows = output_layouts(1);
              const Layout row_layout = rows[static_cast<int>(out_layout) % rows.size()];
              const int64_t n = shape[0];
              Comparison c(device);
              const Pair logits = c.input(shape, dtype, layout, fill);
              const bool ignore_all = layout == Layout::sliced;
              const Pair labels = labels_for(c, n, shape[1], row_layout, ignore_all);
              const Pair loss = c.output({n}, dtype, row_layout);
              const Pair lse = c.output({n}, dtype, row_layout);
              c.run([&](const Kernels& k, Side s) {
                k.cross_entropy(logits[s], labels[s], loss[s], lse[s]);
              });
              const double size = fill == Fill::large ? 400 : 4;
              const int64_t terms = shape[1];
              CHECK(c.difference(lse, {.terms = terms, .scale = size}) == "");
              CHECK(c.difference(loss, {.terms = terms, .scale = size}) == "");

              const Pair dloss = c.input({n}, dtype, row_layout);
              const Pair dlogits = c.output(shape, dtype, out_layout);
              if (!kernels(device).cross_entropy_backward) continue;
              // Both sides from the reference's lse.
              for (int64_t i = 0; i < n; ++i) set(lse, i, value_at(lse[want], i));
              c.run([&](const Kernels& k, Side s) {
                k.cross_entropy_backward(logits[s], labels[s], lse[s], dloss[s], dlogits[s]);
              });
              CHECK(c.difference(dlogits, {.terms = terms, .scale = 2}) == "");
            }
          }
        }
      }
    }
  });
}

TEST_SUITE_END();
