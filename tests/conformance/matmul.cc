// matmul against the reference.  (Lessons 02 and 04)
#include <limits>

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("matmul");

namespace {

struct Operands {
  Layout a = Layout::compact;
  Layout b = Layout::compact;
  Layout out = Layout::compact;
};

/// a (leading..., m, k), b (leading..., k, n), both of `dtype`; the product is of `to`.
void check(Device device, DType dtype, DType to, const Shape& leading, int64_t m, int64_t n,
           int64_t k, const Operands& layouts = {}) {
  const auto matrix = [&](int64_t rows, int64_t columns) {
    Shape shape = leading;
    shape.push_back(rows);
    shape.push_back(columns);
    return shape;
  };
  CAPTURE(dtype);
  CAPTURE(to);
  CAPTURE(leading);
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  CAPTURE(layouts.a);
  CAPTURE(layouts.b);
  CAPTURE(layouts.out);
  Comparison c(device);
  const Pair a = c.input(matrix(m, k), dtype, layouts.a);
  const Pair b = c.input(matrix(k, n), dtype, layouts.b);
  const Pair out = c.output(matrix(m, n), to, layouts.out);
  c.run([&](const Kernels& kernels, Side s) { kernels.matmul(a[s], b[s], out[s]); });
  // What rounding is measured against: |a| x |b|.
  const NDArray scales = NDArray::empty(matrix(m, n), DType::float64, {Device::reference});
  reference_kernels.matmul(magnitude(a[want]).view(), magnitude(b[want]).view(), scales.view());
  // Twice, because equal terms (stride 0 along k on both sides) round the same way each time.
  CHECK(c.difference(out, {.terms = k, .scales = scales, .times = 2}) == "");
}

void check(Device device, DType dtype, const Shape& leading, int64_t m, int64_t n, int64_t k,
           const Operands& layouts = {}) {
  check(device, dtype, dtype, leading, m, n, k, layouts);
}

}  // namespace

TEST_CASE("matmul of all small sizes") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    const int64_t sizes[] = {0, 1, 2, 5, 7, 8, 15, 17, 33};
    for (DType dtype : kFloating) {
      for (int64_t m : sizes) {
        for (int64_t n : sizes) {
          for (int64_t k : sizes) check(device, dtype, {}, m, n, k);
        }
      }
    }
  });
}

TEST_CASE("matmul at block edges") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kFloating) {
      for (int64_t n : kSizes) {
        check(device, dtype, {}, n, 17, 33);
        check(device, dtype, {}, 7, n, 65);
        check(device, dtype, {}, 31, 16, n);
        check(device, dtype, {}, 1, n, n);
        check(device, dtype, {}, n, 1, n);
        check(device, dtype, {}, n, n, 1);
      }
      check(device, dtype, {}, 129, 257, 100);
      check(device, dtype, {}, 257, 129, 65, {Layout::transposed, Layout::compact});
      check(device, dtype, {}, 65, 100, 1031);
      check(device, dtype, {}, 33, 1031, 17, {Layout::compact, Layout::transposed});
      check(device, dtype, {}, 1031, 33, 17, {Layout::compact, Layout::compact, Layout::padded});
      check(device, dtype, {}, 9, 2309, 513);
      check(device, dtype, {}, 1, 513, 4099);
    }
  });
}

TEST_CASE("matmul of few rows or columns") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kFloating) {
      for (int64_t few : {1, 2, 3, 4, 5, 8, 9, 16, 17}) {
        for (Layout b : {Layout::compact, Layout::transposed}) {
          check(device, dtype, {}, few, 77, 301, {Layout::compact, b});
          check(device, dtype, {}, 77, few, 301, {b, Layout::compact});
          check(device, dtype, {}, few, 530, 263, {Layout::compact, b, Layout::transposed});
          check(device, dtype, {}, few, 530, 263, {Layout::transposed, b});
        }
      }
    }
  });
}

TEST_CASE("matmul in several blocks") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kFloating) {
      for (Layout a : {Layout::compact, Layout::transposed, Layout::padded}) {
        for (Layout b : {Layout::compact, Layout::transposed, Layout::padded}) {
          // Too much for half of a level 2 of 512 KiB, and not more: the reference is slow.
          check(device, dtype, {}, 179, 99, 803, {a, b});
        }
      }
    }
  });
}

TEST_CASE("matmul in every layout") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kFloating) {
      for (const Shape& leading : {Shape{}, Shape{3}, Shape{2, 3}}) {
        const int ndim = leading.ndim() + 2;
        for (Layout a : input_layouts(ndim)) {
          for (Layout b : input_layouts(ndim)) {
            check(device, dtype, leading, 17, 9, 33, {a, b});
            check(device, dtype, leading, 1, 17, 7, {a, b});
          }
          for (Layout out : output_layouts(ndim)) {
            check(device, dtype, leading, 17, 33, 9, {a, Layout::compact, out});
            check(device, dtype, leading, 33, 66, 35, {a, Layout::transposed, out});
          }
        }
      }
    }
  });
}

TEST_CASE("matmul of batches") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kFloating) {
      for (const Shape& leading : {Shape{0}, Shape{1}, Shape{7}, Shape{2, 1, 3}, Shape{33, 2}}) {
        for (Layout a : {Layout::compact, Layout::broadcast_first, Layout::interleaved}) {
          check(device, dtype, leading, 8, 15, 16, {a});
          check(device, dtype, leading, 8, 15, 16, {Layout::compact, a});
          check(device, dtype, leading, 0, 3, 2, {a});
          check(device, dtype, leading, 2, 3, 0, {a});
        }
      }
    }
  });
}

TEST_CASE("matmul of two-byte numbers, into numbers of two bytes and into float32") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (DType dtype : kHalf) {
      for (DType to : {dtype, DType::float32}) {
        for (int64_t n : {0, 1, 7, 16, 33, 65, 257}) {
          check(device, dtype, to, {}, n, 17, 33);
          check(device, dtype, to, {}, 5, n, 65);
          check(device, dtype, to, {}, 15, 16, n);
          check(device, dtype, to, {}, 1, n, n);
          check(device, dtype, to, {}, n, 1, n);
        }
        check(device, dtype, to, {}, 65, 100, 1031);
        check(device, dtype, to, {}, 9, 2309, 513);
        for (const Shape& leading : {Shape{}, Shape{0}, Shape{3}, Shape{2, 3}}) {
          const int ndim = leading.ndim() + 2;
          for (Layout a : input_layouts(ndim)) {
            for (Layout b : input_layouts(ndim))
              check(device, dtype, to, leading, 17, 9, 33, {a, b});
            for (Layout out : output_layouts(ndim)) {
              check(device, dtype, to, leading, 7, 33, 9, {a, Layout::compact, out});
            }
          }
        }
      }
    }
  });
}

TEST_CASE("one NaN or infinity reaches its row of the product, and no other") {
  for_each_device(&Kernels::matmul, "matmul", [](Device device) {
    for (double value :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      for (DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
        Comparison c(device);
        const Pair a = c.inout({17, 19}, dtype);
        const Pair b = c.input({19, 35}, dtype);
        const Pair out = c.output({17, 35}, dtype);
        for (int64_t i = 0; i < 17 * 19; i += 5) {
          const double before = value_at(a[want], i);
          set(a, i, value);
          c.run([&](const Kernels& k, Side s) { k.matmul(a[s], b[s], out[s]); });
          CAPTURE(value);
          CAPTURE(dtype);
          CAPTURE(i);
          CHECK(c.difference(out, {.scale = 19}) == "");
          set(a, i, before);
        }
      }
    }
  });
}

TEST_SUITE_END();
