// conv2d, its two gradients and pool_argmax against the reference.  (Lesson 05)
#include <cmath>
#include <vector>

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("images");

namespace {

/// One convolution: channels per group, the image, the windows.
struct Conv {
  int64_t n, groups, in, out;
  Shape size;
  Windows w;

  int64_t windows(int i) const {
    const int64_t extent = w.dilation[i] * (w.kernel[i] - 1) + 1;
    return (size[i] + 2 * w.padding[i] - extent) / w.stride[i] + 1;
  }
  Shape x() const { return {n, groups * in, size[0], size[1]}; }
  Shape y() const { return {n, groups * out, windows(0), windows(1)}; }
  Shape weight() const { return {groups * out, in, w.kernel[0], w.kernel[1]}; }
};

/// Kernel, stride, padding, dilation.
const std::vector<Windows> kWindows = {
    {{1, 1}, {1, 1}, {0, 0}, {1, 1}}, {{3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {{3, 2}, {2, 1}, {1, 0}, {1, 2}}, {{2, 3}, {3, 2}, {2, 4}, {2, 1}},
    {{5, 1}, {1, 3}, {0, 1}, {1, 1}}, {{2, 2}, {2, 2}, {0, 0}, {1, 1}},
};

std::vector<Conv> cases() {
  std::vector<Conv> out;
  for (const Windows& w : kWindows) {
    out.push_back({2, 1, 1, 1, {5, 6}, w});
    out.push_back({3, 1, 3, 5, {7, 9}, w});
    out.push_back({1, 2, 2, 3, {9, 20}, w});
    out.push_back({2, 3, 1, 1, {6, 5}, w});
    out.push_back({0, 1, 2, 2, {5, 5}, w});
    out.push_back({1, 1, 0, 2, {5, 5}, w});
    out.push_back({2, 1, 2, 0, {5, 5}, w});
  }
  out.push_back({9, 1, 17, 33, {8, 8}, kWindows[1]});  // several threads, tiles cut short
  out.push_back({1, 1, 3, 16, {65, 67}, kWindows[1]});
  out.push_back({2, 1, 1, 2, {1, 1}, kWindows[1]});  // every tap but one in the padding
  out.push_back({1, 1, 1, 1, {2, 1}, {{2, 2}, {1, 1}, {4, 4}, {1, 1}}});  // whole windows in it
  return out;
}

std::string text(const Conv& c) {
  return str("n ", c.n, ", groups ", c.groups, ", in ", c.in, ", out ", c.out, ", size ", c.size,
             ", kernel ", c.w.kernel, ", stride ", c.w.stride, ", padding ", c.w.padding,
             ", dilation ", c.w.dilation);
}

using ConvSlot = void (*Kernels::*)(const Windows&, int64_t, const View&, const View&, const View&);

/// The slot on arrays of shapes a, b and out. Rounding is measured against the same with |a|, |b|.
void check(Device device, ConvSlot slot, const Conv& conv, DType dtype, const Shape& a_shape,
           const Shape& b_shape, const Shape& out_shape, int64_t terms, Layout in, Layout to) {
  const std::string what = text(conv);
  CAPTURE(what);
  CAPTURE(dtype);
  CAPTURE(in);
  CAPTURE(to);
  Comparison c(device);
  const Pair a = c.input(a_shape, dtype, in);
  const Pair b = c.input(b_shape, dtype, in);
  const Pair out = c.output(out_shape, dtype, to);
  c.run([&](const Kernels& k, Side s) { (k.*slot)(conv.w, conv.groups, a[s], b[s], out[s]); });
  const NDArray scales = NDArray::empty(out_shape, dtype, {Device::reference});
  (reference_kernels.*slot)(conv.w, conv.groups, magnitude(a[want]).view(),
                            magnitude(b[want]).view(), scales.view());
  CHECK(c.difference(out, {.terms = terms, .scales = scales, .times = 2}) == "");
}

/// Every case compact, and one of them in every layout.
template <class F>
void each_case(F check_one) {
  for (DType dtype : kFloating) {
    for (const Conv& conv : cases()) check_one(conv, dtype, Layout::compact, Layout::compact);
    const Conv conv{3, 2, 2, 3, {7, 6}, kWindows[2]};
    for (Layout in : input_layouts(4)) check_one(conv, dtype, in, Layout::compact);
    for (Layout to : output_layouts(4)) check_one(conv, dtype, Layout::compact, to);
    check_one(conv, dtype, Layout::transposed, Layout::sliced);
  }
}

}  // namespace

TEST_CASE("conv2d") {
  for_each_device(&Kernels::conv2d, "conv2d", [](Device device) {
    each_case([&](const Conv& v, DType dtype, Layout in, Layout to) {
      check(device, &Kernels::conv2d, v, dtype, v.x(), v.weight(), v.y(), v.in * v.w.kernel.size(),
            in, to);
    });
  });
}

TEST_CASE("conv2d_input") {
  for_each_device(&Kernels::conv2d_input, "conv2d_input", [](Device device) {
    each_case([&](const Conv& v, DType dtype, Layout in, Layout to) {
      check(device, &Kernels::conv2d_input, v, dtype, v.y(), v.weight(), v.x(),
            v.out * v.w.kernel.size(), in, to);
    });
  });
}

TEST_CASE("conv2d_weight") {
  for_each_device(&Kernels::conv2d_weight, "conv2d_weight", [](Device device) {
    each_case([&](const Conv& v, DType dtype, Layout in, Layout to) {
      check(device, &Kernels::conv2d_weight, v, dtype, v.y(), v.x(), v.weight(),
            v.n * v.windows(0) * v.windows(1), in, to);
    });
  });
}

TEST_CASE("pool_argmax") {
  for_each_device(&Kernels::pool_argmax, "pool_argmax", [](Device device) {
    const auto check_one = [&](const Conv& v, DType dtype, Layout in, Layout to, Fill fill) {
      const std::string what = text(v);
      CAPTURE(what);
      CAPTURE(dtype);
      CAPTURE(in);
      CAPTURE(to);
      Comparison c(device);
      const Pair x = c.input(v.x(), dtype, in, fill);
      const Pair index =
          c.output({v.n, v.groups * v.in, v.windows(0), v.windows(1)}, DType::int64, to);
      c.run([&](const Kernels& k, Side s) { k.pool_argmax(v.w, x[s], index[s]); });
      CHECK(c.difference(index, {.exact = true}) == "");
    };
    for (DType dtype : kFloating) {
      for (Conv v : cases()) {
        for (int i = 0; i < 2; ++i) {
          v.w.padding[i] = std::min(v.w.padding[i], v.w.kernel[i] / 2);
          v.w.dilation[i] = 1;
          v.size[i] = std::max(v.size[i], v.w.kernel[i]);
        }
        check_one(v, dtype, Layout::compact, Layout::compact, Fill::normal);
        check_one(v, dtype, Layout::compact, Layout::compact, Fill::special);
      }
      const Conv v{3, 2, 2, 3, {7, 6}, {{3, 2}, {2, 1}, {1, 1}, {1, 1}}};
      for (Layout in : input_layouts(4)) check_one(v, dtype, in, Layout::compact, Fill::special);
      for (Layout to : output_layouts(4)) check_one(v, dtype, Layout::compact, to, Fill::special);
    }
  });
}

// --- the reference itself ---

namespace {

/// Random numbers, in x; and what is to become of them, in out.
struct Operand {
  NDArray x, out;

  Operand(const Shape& shape, uint64_t seed)
      : x(NDArray::empty(shape, DType::float64, {Device::reference})),
        out(NDArray::empty(shape, DType::float64, {Device::reference})) {
    reference_kernels.random(Random::normal, seed, 0, x.view());
  }
  double product() const {
    double sum = 0;
    for (int64_t i = 0; i < x.size(); ++i) sum += value_at(x.view(), i) * value_at(out.view(), i);
    return sum;
  }
};

}  // namespace

TEST_CASE("the reference: conv2d by hand") {
  const NDArray x = array({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const NDArray weight = array({1, 1, 2, 2}, {1, 10, 100, 1000});
  const NDArray y = array({1, 1, 2, 2}, {0, 0, 0, 0});
  reference_kernels.conv2d({{2, 2}, {2, 1}, {1, 0}, {1, 1}}, 1, x.view(), weight.view(), y.view());
  // Windows that begin above the image, then those on its rows 1 and 2.
  CHECK(list(y) == std::vector<double>{2100, 3200, 8754, 9865});
}

TEST_CASE("the reference: the three convolutions are derivatives of one sum of products") {
  const Windows w{{2, 3}, {1, 2}, {1, 1}, {2, 1}};
  Operand x({2, 4, 5, 6}, 1), weight({6, 2, 2, 3}, 2), y({2, 6, 5, 3}, 3);
  reference_kernels.conv2d(w, 2, x.x.view(), weight.x.view(), y.out.view());
  reference_kernels.conv2d_input(w, 2, y.x.view(), weight.x.view(), x.out.view());
  reference_kernels.conv2d_weight(w, 2, y.x.view(), x.x.view(), weight.out.view());
  CHECK(x.product() == doctest::Approx(y.product()));
  CHECK(weight.product() == doctest::Approx(y.product()));
}

TEST_CASE("the reference: pool_argmax by hand") {
  const double nan = std::nan("");
  const NDArray x = array(
      {1, 1, 3, 4}, {-INFINITY, -INFINITY, 3, 3, -INFINITY, -INFINITY, 3, nan, 1, 7, nan, nan});
  const NDArray index = NDArray::empty({1, 1, 2, 2}, DType::int64, {Device::reference});
  reference_kernels.pool_argmax({{2, 3}, {2, 2}, {1, 1}, {1, 1}}, x.view(), index.view());
  CHECK(list(index) == std::vector<double>{0, 2, 9, 7});
}

TEST_SUITE_END();
