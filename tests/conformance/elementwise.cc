// fill, copy, unary, unary_backward, binary, compare, where against the reference.  (Lesson 02)
#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("elementwise");

namespace {

template <class Op>
std::vector<Op> all_of(int count) {
  std::vector<Op> out;
  for (int i = 0; i < count; ++i) out.push_back(static_cast<Op>(i));
  return out;
}

/// Enough elements that a device splits the work between threads.
const Shape kLarge = {131, 1027};

/// Operations whose input must be positive to be finite.
Fill domain(Unary op) {
  const bool positive =
      op == Unary::log || op == Unary::log1p || op == Unary::sqrt || op == Unary::rsqrt;
  return positive ? Fill::positive : Fill::normal;
}

void check_unary(Device device, Unary op, DType dtype, const Shape& shape, Layout layout,
                 Layout out_layout, Fill fill) {
  CAPTURE(op);
  CAPTURE(dtype);
  CAPTURE(shape);
  CAPTURE(layout);
  CAPTURE(out_layout);
  CAPTURE(fill == Fill::special);
  Comparison c(device);
  const Pair x = c.input(shape, dtype, layout, fill);
  const Pair out = c.output(shape, dtype, out_layout);
  c.run([&](const Kernels& k, Side s) { k.unary(op, x[s], out[s]); });
  // gelu's usual form x * (1 + erf) / 2 cancels where x is far below 0.
  const NDArray scales = op == Unary::gelu ? magnitude(x[want]) : NDArray();
  CHECK(c.difference(out, {.scales = scales}) == "");
}

}  // namespace

TEST_CASE("fill") {
  for_each_device(&Kernels::fill, "fill", [](Device device) {
    for (DType dtype : kStored) {
      for (const Shape& shape : shapes()) {
        for (Layout layout : output_layouts(shape.ndim())) {
          CAPTURE(dtype);
          CAPTURE(shape);
          CAPTURE(layout);
          Comparison c(device);
          const Pair out = c.output(shape, dtype, layout);
          const Scalar value = dtype == DType::bool_ ? Scalar{0, 0} : Scalar{-2.7, -1234567890};
          c.run([&](const Kernels& k, Side s) { k.fill(value, out[s]); });
          CHECK(c.difference(out, {.exact = true}) == "");
        }
      }
    }
  });
}

TEST_CASE("the reference's copy reads and writes every layout as an index loop does") {
  Comparison c({Device::reference});
  for (const Shape& shape : shapes()) {
    for (Layout layout : input_layouts(shape.ndim())) {
      for (Layout out_layout : output_layouts(shape.ndim())) {
        CAPTURE(shape);
        CAPTURE(layout);
        CAPTURE(out_layout);
        const NDArray x = c.inout(shape, DType::float64, layout).array[want];
        const NDArray out = c.output(shape, DType::float32, out_layout).array[want];
        reference_kernels.copy(x.view(), out.view());
        bool equal = true;
        for (int64_t i = 0; i < x.size(); ++i) {
          equal &= value_at(out.view(), i) == static_cast<float>(value_at(x.view(), i));
        }
        CHECK(equal);
      }
    }
  }
}

TEST_CASE("copy converts between all dtypes and layouts") {
  for_each_device(&Kernels::copy, "copy", [](Device device) {
    for (DType from : kStored) {
      for (DType to : kStored) {
        for (const Shape& shape : shapes()) {
          for (Layout layout : input_layouts(shape.ndim())) {
            for (Layout out_layout : output_layouts(shape.ndim())) {
              CAPTURE(from);
              CAPTURE(to);
              CAPTURE(shape);
              CAPTURE(layout);
              CAPTURE(out_layout);
              // Floating values beyond an int's range have no defined conversion.
              const bool whole_range = !is_floating(from) || is_floating(to) || to == DType::bool_;
              Comparison c(device);
              const Pair x =
                  c.input(shape, from, layout, whole_range ? Fill::special : Fill::normal);
              const Pair out = c.output(shape, to, out_layout);
              c.run([&](const Kernels& k, Side s) { k.copy(x[s], out[s]); });
              CHECK(c.difference(out, {.exact = true}) == "");
            }
          }
        }
      }
    }
  });
}

TEST_CASE("unary") {
  for_each_device(&Kernels::unary, "unary", [](Device device) {
    for (Unary op : all_of<Unary>(kUnaries)) {
      for (DType dtype : kFloating) {
        for (const Shape& shape : shapes()) {
          for (Layout layout : input_layouts(shape.ndim())) {
            check_unary(device, op, dtype, shape, layout, Layout::compact, domain(op));
          }
          for (Layout out_layout : output_layouts(shape.ndim())) {
            check_unary(device, op, dtype, shape, Layout::compact, out_layout, domain(op));
          }
        }
        check_unary(device, op, dtype, {513}, Layout::compact, Layout::compact, Fill::special);
        check_unary(device, op, dtype, {513}, Layout::sliced, Layout::compact, Fill::special);
        check_unary(device, op, dtype, kLarge, Layout::compact, Layout::compact, domain(op));
        check_unary(device, op, dtype, kLarge, Layout::transposed, Layout::padded, domain(op));
      }
    }
  });
}

TEST_CASE("unary of ints wraps around") {
  for_each_device(&Kernels::unary, "unary", [](Device device) {
    for (Unary op : {Unary::neg, Unary::abs, Unary::relu}) {
      for (DType dtype : {DType::int32, DType::int64}) {
        for (const Shape& shape : shapes()) {
          for (Layout layout : input_layouts(shape.ndim())) {
            check_unary(device, op, dtype, shape, layout, Layout::compact, Fill::special);
          }
        }
      }
    }
  });
}

TEST_CASE("unary_backward") {
  for_each_device(&Kernels::unary_backward, "unary_backward", [](Device device) {
    const auto check = [&](Unary op, DType dtype, const Shape& shape, Layout layout,
                           Layout out_layout) {
      CAPTURE(op);
      CAPTURE(dtype);
      CAPTURE(shape);
      CAPTURE(layout);
      CAPTURE(out_layout);
      Comparison c(device);
      const Pair x = c.input(shape, dtype, layout, domain(op));
      Pair y = c.output(shape, dtype, layout >= Layout::broadcast_first ? Layout::compact : layout);
      for (Side s : {want, got}) reference_kernels.unary(op, x[s], y[s]);
      const Pair dy = c.input(shape, dtype, layout);
      const Pair dx = c.output(shape, dtype, out_layout);
      c.run([&](const Kernels& k, Side s) { k.unary_backward(op, x[s], y[s], dy[s], dx[s]); });
      // 1 - y * y, and the two terms of gelu and silu, cancel.
      CHECK(c.difference(dx, {.scales = magnitude(dy[want])}) == "");
    };
    for (Unary op : all_of<Unary>(kUnaries)) {
      for (DType dtype : kFloating) {
        for (const Shape& shape : shapes()) {
          for (Layout layout : input_layouts(shape.ndim())) {
            check(op, dtype, shape, layout, Layout::compact);
          }
          for (Layout out_layout : output_layouts(shape.ndim())) {
            check(op, dtype, shape, Layout::compact, out_layout);
          }
        }
        check(op, dtype, kLarge, Layout::compact, Layout::compact);
      }
    }
  });
}

TEST_CASE("an elementwise kernel may write over its input") {
  for_each_device(&Kernels::binary, "binary", [](Device device) {
    for (DType dtype : kFloating) {
      for (const Shape& shape : shapes()) {
        for (Layout layout : output_layouts(shape.ndim())) {
          CAPTURE(dtype);
          CAPTURE(shape);
          CAPTURE(layout);
          Comparison c(device);
          const Pair a = c.inout(shape, dtype, layout);
          const Pair b = c.input(shape, dtype, layout);
          c.run([&](const Kernels& k, Side s) {
            k.binary(Binary::sub, a[s], b[s], a[s]);
            k.binary(Binary::mul, b[s], a[s], a[s]);
            k.unary(Unary::tanh, a[s], a[s]);
          });
          CHECK(c.difference(a, {.times = 4}) == "");
        }
      }
    }
  });
}

TEST_CASE("binary") {
  for_each_device(&Kernels::binary, "binary", [](Device device) {
    const auto check = [&](Binary op, DType dtype, const Shape& shape, Layout la, Layout lb,
                           Layout out_layout, Fill fill) {
      CAPTURE(op);
      CAPTURE(dtype);
      CAPTURE(shape);
      CAPTURE(la);
      CAPTURE(lb);
      CAPTURE(out_layout);
      CAPTURE(fill == Fill::special);
      Comparison c(device);
      const bool power = op == Binary::pow && fill == Fill::normal;
      const Pair a = c.input(shape, dtype, la, power ? Fill::positive : fill);
      const Pair b = c.input(shape, dtype, lb, fill);
      const Pair out = c.output(shape, dtype, out_layout);
      c.run([&](const Kernels& k, Side s) { k.binary(op, a[s], b[s], out[s]); });
      // One operation rounds once, so all but pow have one right answer.
      CHECK(c.difference(out, {.exact = op != Binary::pow}) == "");
    };
    for (Binary op : all_of<Binary>(kBinaries)) {
      for (DType dtype : kNumbers) {
        if (!is_floating(dtype) && (op == Binary::div || op == Binary::pow)) continue;
        for (const Shape& shape : shapes()) {
          for (Layout la : input_layouts(shape.ndim())) {
            for (Layout lb : input_layouts(shape.ndim())) {
              check(op, dtype, shape, la, lb, Layout::compact, Fill::normal);
            }
          }
          for (Layout out_layout : output_layouts(shape.ndim())) {
            check(op, dtype, shape, Layout::compact, Layout::compact, out_layout, Fill::normal);
            check(op, dtype, shape, Layout::compact, Layout::compact, out_layout, Fill::special);
          }
        }
        check(op, dtype, kLarge, Layout::compact, Layout::broadcast_first, Layout::compact,
              Fill::special);
        check(op, dtype, kLarge, Layout::broadcast_last, Layout::transposed, Layout::padded,
              Fill::normal);
      }
    }
  });
}

TEST_CASE("compare") {
  for_each_device(&Kernels::compare, "compare", [](Device device) {
    for (Compare op : all_of<Compare>(kCompares)) {
      for (DType dtype : kAll) {
        for (const Shape& shape : shapes()) {
          for (Layout la : input_layouts(shape.ndim())) {
            for (Layout out_layout : output_layouts(shape.ndim())) {
              CAPTURE(op);
              CAPTURE(dtype);
              CAPTURE(shape);
              CAPTURE(la);
              CAPTURE(out_layout);
              Comparison c(device);
              const Pair a = c.input(shape, dtype, la, Fill::special);
              const Pair b = c.input(shape, dtype, Layout::compact, Fill::special);
              const Pair out = c.output(shape, DType::bool_, out_layout);
              c.run([&](const Kernels& k, Side s) { k.compare(op, a[s], b[s], out[s]); });
              CHECK(c.difference(out) == "");
              // Every element against itself: true equality, and NaN.
              c.run([&](const Kernels& k, Side s) { k.compare(op, a[s], a[s], out[s]); });
              CHECK(c.difference(out) == "");
            }
          }
        }
      }
    }
  });
}

TEST_CASE("where") {
  for_each_device(&Kernels::where, "where", [](Device device) {
    for (DType dtype : kStored) {
      for (const Shape& shape : shapes()) {
        for (Layout lc : input_layouts(shape.ndim())) {
          for (Layout lb : input_layouts(shape.ndim())) {
            CAPTURE(dtype);
            CAPTURE(shape);
            CAPTURE(lc);
            CAPTURE(lb);
            Comparison c(device);
            const Pair condition = c.input(shape, DType::bool_, lc);
            const Pair a = c.input(shape, dtype, Layout::compact, Fill::special);
            const Pair b = c.input(shape, dtype, lb, Fill::special);
            for (Layout out_layout : output_layouts(shape.ndim())) {
              CAPTURE(out_layout);
              const Pair out = c.output(shape, dtype, out_layout);
              c.run([&](const Kernels& k, Side s) { k.where(condition[s], a[s], b[s], out[s]); });
              CHECK(c.difference(out, {.exact = true}) == "");
            }
          }
        }
      }
    }
  });
}

TEST_SUITE_END();
