// Every rung of the ladders, on the instruction set in use, against the reference.  (Lesson 04)
#include "needle/backend/ladder.h"

#include "needle/backend/reference/reference.h"
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("ladder");

namespace {

/// f(rung, comparison) for each rung; the cpu backend alone has ladders.
template <class Slot, class F>
void for_each_rung(const Ladder<Slot>& ladder, F f) {
  for (Device device : devices()) {
    if (device != Device{Device::cpu}) continue;
    for (const Rung<Slot>& rung : ladder) {
      CAPTURE(std::string(rung.file));
      Comparison c(device);
      f(rung, c);
    }
  }
}

}  // namespace

TEST_CASE("rungs of matmul") {
  for (const Shape& sizes : {Shape{1, 1, 1}, Shape{0, 3, 2}, Shape{2, 3, 0}, Shape{7, 17, 5},
                             Shape{13, 65, 257}, Shape{103, 35, 513}, Shape{7, 2077, 3}}) {
    const int64_t m = sizes[0], n = sizes[1], k = sizes[2];
    CAPTURE(sizes);
    for_each_rung(ladders().matmul, [&](const auto& rung, Comparison& c) {
      const Pair a = c.input({m, k}, DType::float32);
      const Pair b = c.input({k, n}, DType::float32);
      const Pair out = c.output({m, n}, DType::float32);
      c.run([&](const Kernels& kernels, Side s) {
        (s == want ? kernels.matmul : rung.run)(a[s], b[s], out[s]);
      });
      CHECK(c.difference(out, {.terms = k, .scale = static_cast<double>(k), .times = 2}) == "");
    });
  }
}

TEST_CASE("rungs of softmax") {
  for (const Shape& shape : {Shape{0, 4}, Shape{7}, Shape{3, 1}, Shape{5, 64}, Shape{2, 3, 999}}) {
    for (Fill fill : {Fill::normal, Fill::large, Fill::special}) {
      CAPTURE(shape);
      CAPTURE(static_cast<int>(fill));
      for_each_rung(ladders().softmax, [&](const auto& rung, Comparison& c) {
        const Pair x = c.input(shape, DType::float32, Layout::compact, fill);
        const Pair out = c.output(shape, DType::float32);
        c.run([&](const Kernels& kernels, Side s) {
          (s == want ? kernels.softmax : rung.run)(false, x[s], out[s]);
        });
        CHECK(c.difference(out, {.terms = shape.back(), .normwise = true, .times = 2}) == "");
      });
    }
  }
}

TEST_CASE("rungs of sum") {
  for (int64_t n : {0, 1, 7, 8, 65, 4097, 20011}) {
    CAPTURE(n);
    for_each_rung(ladders().sum, [&](const auto& rung, Comparison& c) {
      const Pair x = c.input({n}, DType::float32, Layout::compact, Fill::positive);
      const Pair out = c.output({1}, DType::float32);
      c.run([&](const Kernels& kernels, Side s) {
        (s == want ? kernels.reduce : rung.run)(Reduce::sum, x[s], out[s]);
      });
      CHECK(c.difference(out, {.terms = n}) == "");
    });
  }
}

TEST_SUITE_END();
