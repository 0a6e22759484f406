// The matrix products of cuda/gemm in the simulator: right, and without a finding.
#include "gemm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "memory.h"

namespace needle::sim {
namespace {

using gemm::Kernel;
using gemm::Product;

/// How the operands of a product lie in memory.
struct Layout {
  bool turned_a, turned_b, turned_c;  // columns are contiguous, not rows
  bool aligned;                       // lines begin on 16 bytes
};

constexpr float kUntouched = 12345;

/// A product with its memory.
struct Case {
  Product p;
  Array<float> a, b, c;

  static int64_t pitch(int64_t n, bool aligned) { return aligned ? (n + 3) / 4 * 4 : n | 1; }

  Case(int64_t m, int64_t n, int64_t k, int64_t batch, Layout l)
      : p{m, n, k, batch, {}, {}, {}},
        a(static_cast<size_t>(plane(m, k, l.turned_a, l.aligned) * batch)),
        b(static_cast<size_t>(plane(k, n, l.turned_b, l.aligned) * batch)),
        c(static_cast<size_t>(plane(m, n, l.turned_c, l.aligned) * batch), kUntouched) {
    p.a = matrix(a, m, k, l.turned_a, l.aligned);
    p.b = matrix(b, k, n, l.turned_b, l.aligned);
    p.c = matrix(c, m, n, l.turned_c, l.aligned);
    std::mt19937 random(static_cast<unsigned>(m * 7 + n * 3 + k));
    std::uniform_real_distribution<float> uniform(-1, 1);
    a.fill([&](size_t) { return uniform(random); });
    b.fill([&](size_t) { return uniform(random); });
  }

  static int64_t plane(int64_t rows, int64_t columns, bool turned, bool aligned) {
    return turned ? columns * pitch(rows, aligned) : rows * pitch(columns, aligned);
  }
  static gemm::Matrix matrix(Array<float>& x, int64_t rows, int64_t columns, bool turned,
                             bool aligned) {
    const int64_t line = pitch(turned ? rows : columns, aligned);
    return {x.data(), turned ? 1 : line, turned ? line : 1, plane(rows, columns, turned, aligned)};
  }

  /// Compares with sums in float64. What is not of the result must be untouched.
  void check() const {
    std::vector<bool> inside(c.size());
    for (int64_t z = 0; z < p.batch; ++z) {
      for (int64_t i = 0; i < p.m; ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          double sum = 0, size = 0;
          for (int64_t l = 0; l < p.k; ++l) {
            const double product = double{p.a.data[z * p.a.batch + i * p.a.row + l * p.a.column]} *
                                   p.b.data[z * p.b.batch + l * p.b.row + j * p.b.column];
            sum += product;
            size += std::abs(product);
          }
          const int64_t at = z * p.c.batch + i * p.c.row + j * p.c.column;
          inside[static_cast<size_t>(at)] = true;
          CAPTURE(z);
          CAPTURE(i);
          CAPTURE(j);
          REQUIRE(std::abs(p.c.data[at] - sum) <= 1e-6 * size + 1e-7 * std::abs(sum));
        }
      }
    }
    for (size_t i = 0; i < c.size(); ++i) REQUIRE((inside[i] || c[i] == kUntouched));
  }
};

/// The simulator looks for races, stray accesses and unwritten numbers: what it finds is thrown.
struct Checked {
  const Options before = options();
  Checked() {
    Options checked = before;
    checked.check = true;
    set_options(checked);
  }
  ~Checked() { set_options(before); }
};

/// Calls f(layout) for all of them.
template <class F>
void each_layout(const F& f) {
  for (int bits = 0; bits < 16; ++bits) {
    const Layout layout = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    CAPTURE(bits);
    f(layout);
  }
}

}  // namespace

TEST_SUITE_BEGIN("sim");

TEST_CASE("gemm: float32 in tiles, all layouts, tiles that are not full") {
  const Checked checked;
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {65, 33, 17}, {64, 64, 64}, {132, 140, 24}};
  for (const auto& [m, n, k] : shapes) {
    CAPTURE(m);
    each_layout([&](Layout layout) {
      const int64_t batch = m < 64 ? 2 : 1;
      for (const Kernel kernel : {Kernel::choose, Kernel::large, Kernel::small}) {
        CAPTURE(static_cast<int>(kernel));
        Case product(m, n, k, batch, layout);
        REQUIRE(gemm::multiply(kernel, product.p));
        product.check();
      }
    });
  }
}

TEST_CASE(
    "gemm: k in slices, more than there are steps, and partial sums in memory of their size") {
  const Checked checked;
  for (const int slices : {2, 3, 8, 32}) {
    CAPTURE(slices);
    for (const Kernel kernel : {Kernel::large, Kernel::small}) {
      for (const int64_t batch : {1, 2}) {
        Case product(20, 70, 83, batch, {false, false, batch == 2, true});
        REQUIRE(gemm::multiply(kernel, product.p, slices));
        product.check();
      }
    }
  }
}

TEST_CASE("gemm: few rows, or few columns") {
  const Checked checked;
  const int64_t shapes[][3] = {
      {1, 260, 1500}, {3, 36, 512}, {7, 132, 132}, {16, 8, 1028}, {60, 9, 260}};
  for (const auto& [m, n, k] : shapes) {
    CAPTURE(m);
    for (int bits = 0; bits < 4; ++bits) {
      CAPTURE(bits);
      const bool turned = (bits & 1) != 0, turned_c = (bits & 2) != 0;
      // Of the operand with few lines, neighbours lie along k.
      const Layout layout =
          m <= 16 ? Layout{false, turned, turned_c, true} : Layout{turned, true, turned_c, true};
      Case product(m, n, k, m < 7 ? 2 : 1, layout);
      REQUIRE(gemm::multiply(Kernel::thin, product.p));
      product.check();
    }
  }
}

TEST_CASE("gemm: slices cover k, and none is empty") {
  for (int64_t k = 1; k < 3000; k = k * 3 / 2 + 1) {
    for (const int64_t unit : {8, 32, 64, 256}) {
      for (int64_t wanted = 0; wanted <= 40; ++wanted) {
        const auto cut = gemm::even_slices(k, wanted, unit);
        REQUIRE(cut.depth % unit == 0);
        REQUIRE(cut.count * cut.depth >= k);
        REQUIRE((cut.count - 1) * cut.depth < k);
        REQUIRE(cut.count <= std::max<int64_t>(wanted, 1));
      }
    }
  }
}

TEST_CASE("gemm: plans for the tensor cores of sm_90 are complete, and keep to what was asked") {
  for (const int64_t m : {1, 128, 300, 4096}) {
    for (const int64_t n : {8, 1000, 4096}) {
      for (const int64_t k : {8, 512, 4096}) {
        const auto plan = gemm::wgmma_plan(m, n, k, 1, {});
        CHECK((plan.columns == 128 || plan.columns == 256));
        CHECK((plan.cluster == 1 || plan.cluster == 2));
        CHECK(plan.height >= 1);
        CHECK(plan.slices >= 1);
        // A slice is long enough to be worth a block.
        CHECK((plan.slices == 1 || k / plan.slices >= 256));
        const auto asked = gemm::wgmma_plan(m, n, k, 1, {128, 2, 4, 8});
        CHECK(asked.columns == 128);
        CHECK(asked.cluster == 2);
        CHECK(asked.height == 4);
        CHECK(asked.slices == 8);
      }
    }
  }
}

TEST_SUITE_END();

}  // namespace needle::sim
