// Lesson 2: arrays as memory plus arithmetic, and what floating-point numbers do to sums.
//
//   build/release/lessons/02-foundations
#include <cmath>
#include <functional>
#include <iostream>
#include <numeric>
#include <vector>

#include "lessons/lesson.h"
#include "needle/backend/registry.h"
#include "needle/op/op.h"

using lesson::check;
using namespace needle;

/// The element at (i, j): the one formula behind every array.
float at(const NDArray& x, int64_t i, int64_t j) {
  return x.view().as<float>()[i * x.strides()[0] + j * x.strides()[1]];
}

void describe(const char* what, const NDArray& x) {
  std::cout << what << ": shape " << x.shape() << " strides " << x.strides() << " offset "
            << x.offset() << (x.is_contiguous() ? " contiguous" : "") << "\n";
}

NDArray numbers(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.size()));
  std::iota(values.begin(), values.end(), 0.0f);
  return NDArray::of<float>(values, shape);
}

void views() {
  std::cout << "== views\n";
  const NDArray x = numbers({3, 4});
  describe("x", x);
  describe("x transposed", x.transpose(0, 1));
  describe("x[1:, ::2]", x.slice(0, {1, {}, 1}).slice(1, {{}, {}, 2}));
  describe("x[:, ::-1]", x.flip(1));
  describe("x[2]", x.select(0, 2));
  check(at(x, 1, 2) == 6);
  check(at(x.transpose(0, 1), 2, 1) == 6);

  // One block of memory: what is written through a view is seen through all of them.
  const NDArray turned = x.transpose(0, 1);
  turned.slice(0, {2, 3, 1}).data<float>()[0] = 100;
  std::cout << "after a write through the transposed view, x[0, 2] = " << at(x, 0, 2) << "\n";
  check(at(x, 0, 2) == 100);
  std::cout << "arrays that hold this memory now: " << x.storage()->use_count() << "\n";
}

void broadcasting() {
  std::cout << "== broadcasting\n";
  const NDArray bias = numbers({4});
  const NDArray wide = bias.broadcast_to({1000, 4});
  describe("bias", bias);
  describe("bias for 1000 rows", wide);
  std::cout << "elements " << wide.size() << ", bytes of memory " << wide.storage()->bytes()
            << "\n";
  check(at(wide, 999, 3) == 3);
  for (const auto& [a, b] :
       {std::pair<Shape, Shape>{{8, 1, 6}, {7, 1}}, {{5, 4}, {4}}, {{5, 4}, {5}}}) {
    std::cout << a << " with " << b << ": ";
    try {
      std::cout << broadcast_shapes("add", a, b) << "\n";
    } catch (const ValueError& error) {
      std::cout << "ValueError\n";
    }
  }
}

void reshaping() {
  std::cout << "== reshape\n";
  const NDArray x = numbers({2, 3, 4});
  const auto tell = [](const char* what, const NDArray& array, const Shape& shape) {
    const auto view = array.try_reshape(shape);
    std::cout << what << " to " << shape << ": ";
    if (view) {
      std::cout << "a view with strides " << view->strides() << "\n";
    } else {
      std::cout << "needs a copy\n";
    }
    return view.has_value();
  };
  check(tell("x (2, 3, 4)", x, {6, 4}));
  check(tell("x with axes 0, 1 swapped", x.permute({1, 0, 2}), {3, 8}) == false);
  check(tell("x[:, :, ::2]", x.slice(2, {{}, {}, 2}), {2, 6}));
  check(tell("x[:, :2]", x.slice(1, {0, 2, 1}), {16}) == false);
}

void backends() {
  std::cout << "== backends\n";
  const Tensor a = reshape(arange(0, 6, 1, DType::float32), {2, 3});
  for (const char* name : {"cpu", "reference"}) {
    const Tensor x = to_device(a, device_of(name));
    const Tensor y = matmul(x, transpose(x, 0, 1));
    std::cout << "on " << kernels(y.device()).name << ": sum of x x^T = " << sum(y).item() << "\n";
    check(sum(y).item() == 83);
  }
  try {
    add(a, to_device(a, device_of("reference")));
    check(false);
  } catch (const RuntimeError& error) {
    std::cout << "RuntimeError: " << error.what() << "\n";
  }
}

/// Deferred execution in fifteen lines: an expression is a recipe for one element; nothing is
/// computed before run(), which goes over memory once whatever the length of the expression.
struct Lazy {
  std::function<float(size_t)> element;

  static Lazy of(const std::vector<float>& x) {
    return {[&x](size_t i) { return x[i]; }};
  }
  std::vector<float> run(size_t n) const {
    std::vector<float> out(n);
    for (size_t i = 0; i < n; ++i) out[i] = element(i);
    return out;
  }
};
Lazy operator+(Lazy a, Lazy b) {
  return {[=](size_t i) { return a.element(i) + b.element(i); }};
}
Lazy operator*(Lazy a, Lazy b) {
  return {[=](size_t i) { return a.element(i) * b.element(i); }};
}

void deferred() {
  std::cout << "== eager and deferred\n";
  const size_t n = 1000;
  const std::vector<float> a(n, 2), b(n, 3), c(n, 4);
  const Lazy y = Lazy::of(a) * Lazy::of(b) + Lazy::of(c);
  check(y.run(n)[n - 1] == 10);
  // Eager: two ops, each reads two arrays and writes one. Deferred: three reads, one write.
  std::cout << "a * b + c, eager: " << 2 * 3 * n * 4 << " bytes moved, deferred: " << 4 * n * 4
            << "\n";
}

void dtypes() {
  std::cout << "== promotion\n";
  for (DType a : {DType::bool_, DType::int32, DType::int64, DType::float32}) {
    std::cout << a << " with float32 gives " << promote(a, DType::float32) << "\n";
  }
  std::cout << "int32 with int64 gives " << promote(DType::int32, DType::int64) << "\n";
  for (double x : {1.0 / 3, 100000.0}) {
    std::cout << x << " is in float16 " << float(needle::float16(x)) << ", in bfloat16 "
              << float(needle::bfloat16(x)) << "\n";
  }
}

void floats() {
  std::cout << "== floating point\n" << std::boolalpha;
  std::cout << "0.1 + 0.2 == 0.3: " << (0.1 + 0.2 == 0.3) << "\n";
  const float big = 16777216;  // 2^24
  std::cout << "2^24 + 1 == 2^24 in float32: " << (big + 1.0f == big) << "\n";
  std::cout << "(1e8 + 1) - 1e8 = " << (1e8f + 1.0f) - 1e8f
            << ", 1e8 - 1e8 + 1 = " << 1e8f - 1e8f + 1.0f << "\n";

  const int64_t n = 10'000'000;
  float running = 0;
  for (int64_t i = 0; i < n; ++i) running += 0.1f;
  const double total = sum(full({n}, 0.1)).item();
  std::cout << "0.1 added 10 million times in one float32: " << static_cast<int64_t>(running)
            << "\n";
  std::cout << "needle's sum is off by less than 10: " << (std::abs(total - 1e6) < 10) << "\n";
  check(std::abs(running - 1e6) > 80000 && std::abs(total - 1e6) < 10);

  const std::vector<float> logits{1000, 1000};
  std::cout << "log(exp(1000) + exp(1000)) = " << std::log(2 * std::exp(1000.0f)) << "\n";
  const Tensor x(NDArray::of<float>(logits, {2}));
  std::cout << "logsumexp = " << logsumexp(x).item() << "\n";
  check(std::abs(logsumexp(x).item() - (1000 + std::log(2.0))) < 1e-3);
}

int main() {
  views();
  broadcasting();
  reshaping();
  backends();
  deferred();
  dtypes();
  floats();
}
