// reduce and arg_reduce against the reference.  (Lesson 02)
#include <limits>

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("reduce");

namespace {

/// `shape` with size 1 on the axes of the bit mask.
Shape reduced(Shape shape, unsigned axes) {
  for (int i = 0; i < shape.ndim(); ++i) {
    if (axes >> i & 1) shape[i] = 1;
  }
  return shape;
}

/// The sum of |x|, in the shape of the result: what the rounding of a sum is measured against.
NDArray sum_of_magnitudes(const View& x, const Shape& shape) {
  const NDArray out = NDArray::empty(shape, x.dtype, {Device::reference});
  reference_kernels.reduce(Reduce::sum, magnitude(x).view(), out.view());
  return out;
}

void check_reduce(Device device, Reduce op, DType dtype, const Shape& shape, unsigned axes,
                  Layout layout, Layout out_layout, Fill fill) {
  const Shape out_shape = reduced(shape, axes);
  const int64_t terms = out_shape.size() == 0 ? 0 : shape.size() / out_shape.size();
  const bool extreme = op == Reduce::max || op == Reduce::min;
  if (extreme && terms == 0) return;
  CAPTURE(op);
  CAPTURE(dtype);
  CAPTURE(shape);
  CAPTURE(out_shape);
  CAPTURE(layout);
  CAPTURE(out_layout);
  Comparison c(device);
  const Pair x = c.input(shape, dtype, layout, fill);
  const Pair out = c.output(out_shape, dtype, out_layout);
  c.run([&](const Kernels& k, Side s) { k.reduce(op, x[s], out[s]); });
  Tolerance tolerance{.terms = terms, .exact = extreme || !is_floating(dtype)};
  if (op == Reduce::prod) tolerance.times = static_cast<double>(terms + 1);  // each factor rounds
  if (op == Reduce::sum && is_floating(dtype)) {
    tolerance.scales = sum_of_magnitudes(x[want], out_shape);
  }
  CHECK(c.difference(out, tolerance) == "");
}

Fill fill_for(Reduce op, DType dtype) {
  if (op == Reduce::max || op == Reduce::min || !is_floating(dtype)) return Fill::special;
  return op == Reduce::prod ? Fill::positive : Fill::normal;
}

}  // namespace

TEST_CASE("reduce over every set of axes, in every layout") {
  for_each_device(&Kernels::reduce, "reduce", [](Device device) {
    std::vector<Shape> all = shapes();
    all.insert(all.end(), {{65, 129}, {129, 65}, {5, 33, 17}});
    for (Reduce op : {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min}) {
      for (DType dtype : kAll) {
        if (dtype == DType::bool_ && (op == Reduce::sum || op == Reduce::prod)) continue;
        for (const Shape& shape : all) {
          for (unsigned axes = 0; axes < (1u << shape.ndim()); ++axes) {
            if (shape.ndim() > 5 && axes % 11 != 0) continue;  // a sample of the 256 sets
            const Fill fill = fill_for(op, dtype);
            for (Layout layout : input_layouts(shape.ndim())) {
              check_reduce(device, op, dtype, shape, axes, layout, Layout::compact, fill);
            }
            for (Layout out_layout : output_layouts(shape.ndim())) {
              check_reduce(device, op, dtype, shape, axes, Layout::compact, out_layout, fill);
            }
          }
        }
      }
    }
  });
}

TEST_CASE("reduce keeps its accuracy over a hundred thousand terms") {
  for_each_device(&Kernels::reduce, "reduce", [](Device device) {
    for (DType dtype : kFloating) {
      for (Layout layout : {Layout::compact, Layout::sliced}) {
        // 0.1 rounds the same way each time: a plain float32 sum would be off by 1e-4 of it.
        Comparison c(device);
        const Pair x = c.inout({100003}, dtype, layout);
        for (Side s : {want, got}) reference_kernels.fill({0.1, 0}, x[s]);
        const Pair out = c.output({1}, dtype);
        c.run([&](const Kernels& k, Side s) { k.reduce(Reduce::sum, x[s], out[s]); });
        CAPTURE(dtype);
        CAPTURE(layout);
        CHECK(c.difference(out, {.terms = 100003}) == "");
      }
      check_reduce(device, Reduce::sum, dtype, {100003}, 1, Layout::compact, Layout::compact,
                   Fill::normal);
      check_reduce(device, Reduce::sum, dtype, {5, 40009}, 2, Layout::compact, Layout::compact,
                   Fill::normal);
      // Whole packs of 16 bytes, but no round number of them.
      check_reduce(device, Reduce::sum, dtype, {3, 40004}, 2, Layout::compact, Layout::compact,
                   Fill::normal);
      check_reduce(device, Reduce::sum, dtype, {40009, 5}, 1, Layout::compact, Layout::compact,
                   Fill::positive);
      check_reduce(device, Reduce::max, dtype, {301, 401}, 3, Layout::transposed, Layout::compact,
                   Fill::normal);
    }
  });
}

TEST_CASE("one NaN or infinity reaches the result from every position") {
  for_each_device(&Kernels::reduce, "reduce", [](Device device) {
    const double infinity = std::numeric_limits<double>::infinity();
    for (double value : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity}) {
      for (Reduce op : {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min}) {
        for (DType dtype : kFloating) {
          for (int64_t n : {1, 2, 7, 16, 17, 33, 65, 129}) {
            for (unsigned axes : {1u, 2u}) {  // along columns, along rows
              const Shape shape = axes == 1 ? Shape{n, 3} : Shape{3, n};
              Comparison c(device);
              const Pair x = c.inout(shape, dtype);
              const Pair out = c.output(reduced(shape, axes), dtype);
              for (int64_t i = n; i < 2 * n; ++i) {
                const double before = value_at(x[want], i);
                set(x, i, value);
                c.run([&](const Kernels& k, Side s) { k.reduce(op, x[s], out[s]); });
                CAPTURE(value);
                CAPTURE(op);
                CAPTURE(dtype);
                CAPTURE(shape);
                CAPTURE(i);
                CHECK(c.difference(out, {.scale = static_cast<double>(n), .times = n + 1.0}) == "");
                set(x, i, before);
              }
            }
          }
        }
      }
    }
  });
}

TEST_CASE("arg_reduce finds the first extreme, NaN before all") {
  for_each_device(&Kernels::arg_reduce, "arg_reduce", [](Device device) {
    std::vector<Shape> all = shapes();
    all.insert(all.end(), {{65, 129}, {5, 33, 17}, {301, 403}});
    for (ArgReduce op : {ArgReduce::argmax, ArgReduce::argmin}) {
      for (DType dtype : kAll) {
        for (const Shape& shape : all) {
          for (int axis = 0; axis < shape.ndim(); ++axis) {
            if (shape[axis] == 0) continue;  // refused by the op
            for (Layout layout : input_layouts(shape.ndim())) {
              for (Layout out_layout : output_layouts(shape.ndim())) {
                if (layout != Layout::compact && out_layout != Layout::compact) continue;
                for (Fill fill : {Fill::normal, Fill::special}) {
                  CAPTURE(op == ArgReduce::argmax);
                  CAPTURE(dtype);
                  CAPTURE(shape);
                  CAPTURE(axis);
                  CAPTURE(layout);
                  CAPTURE(out_layout);
                  Comparison c(device);
                  const Pair x = c.input(shape, dtype, layout, fill);
                  const Pair out = c.output(reduced(shape, 1u << axis), DType::int64, out_layout);
                  c.run([&](const Kernels& k, Side s) { k.arg_reduce(op, x[s], axis, out[s]); });
                  CHECK(c.difference(out) == "");
                }
              }
            }
          }
        }
      }
    }
  });
}

TEST_SUITE_END();
