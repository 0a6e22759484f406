// Lesson 3: one derivative found in four ways, and what reverse mode costs.
//
//   build/release/lessons/03-autodiff
#include <cmath>
#include <cstdio>
#include <iostream>
#include <vector>

#include "lessons/lesson.h"
#include "needle/backend/registry.h"
#include "needle/op/op.h"

using lesson::check;
using namespace needle;

bool near(double a, double b, double tolerance = 1e-9) { return std::abs(a - b) <= tolerance; }

// --- y = a exp(a b) + b at a = 2, b = 0.5 ---

double by_formula_a(double a, double b) { return std::exp(a * b) * (1 + a * b); }
double by_formula_b(double a, double b) { return a * a * std::exp(a * b) + 1; }

/// Forward mode: a number that carries its derivative with respect to one input.
struct Dual {
  double value;
  double slope;
};
Dual operator+(Dual x, Dual y) { return {x.value + y.value, x.slope + y.slope}; }
Dual operator*(Dual x, Dual y) {
  return {x.value * y.value, x.slope * y.value + x.value * y.slope};
}
Dual exp(Dual x) { return {std::exp(x.value), x.slope * std::exp(x.value)}; }

template <class T>
T example(const T& a, const T& b) {
  return a * exp(a * b) + b;
}

Tensor leaf(double value) { return Tensor(filled({}, value, DType::float64), true); }

void one_derivative() {
  std::printf("== one derivative\n");
  const double a = 2, b = 0.5;
  std::printf("by hand       %.5f %.5f\n", by_formula_a(a, b), by_formula_b(a, b));

  const double h = 1e-6;
  const auto f = [](double x, double y) { return x * std::exp(x * y) + y; };
  std::printf("differences   %.5f %.5f\n", (f(a + h, b) - f(a - h, b)) / (2 * h),
              (f(a, b + h) - f(a, b - h)) / (2 * h));

  const Dual along_a = example(Dual{a, 1}, Dual{b, 0});
  const Dual along_b = example(Dual{a, 0}, Dual{b, 1});
  std::printf("forward mode  %.5f %.5f\n", along_a.slope, along_b.slope);

  const Tensor x = leaf(a), y = leaf(b);
  example(x, y).backward();
  std::printf("reverse mode  %.5f %.5f\n", x.grad().item(), y.grad().item());
  check(near(x.grad().item(), by_formula_a(a, b)) && near(along_a.slope, by_formula_a(a, b)));
  check(near(y.grad().item(), by_formula_b(a, b)) && near(along_b.slope, by_formula_b(a, b)));
}

void step_size() {
  std::printf("== the step of a difference: x^3 at 1, error of the slope 3\n");
  const auto cube = [](double x) { return x * x * x; };
  for (int power : {1, 3, 5, 7, 9, 11, 13}) {
    const double h = std::pow(10.0, -power);
    const double one_sided = (cube(1 + h) - cube(1)) / h;
    const double central = (cube(1 + h) - cube(1 - h)) / (2 * h);
    std::printf("h = 1e-%02d  one-sided %.0e  central %.0e\n", power, std::abs(one_sided - 3),
                std::abs(central - 3));
  }
}

/// x (2, 3) and w (3, 2): small enough to check with a pencil.
void vector_jacobian_products() {
  std::printf("== vector-Jacobian products\n");
  const Tensor x(NDArray::of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3}), true);
  const Tensor w(NDArray::of<double>(std::vector<double>{1, 0, 0, 1, 1, 1}, {3, 2}), true);
  const Tensor b(NDArray::of<double>(std::vector<double>{10, 20}, {2}), true);
  const Tensor y = matmul(x, w) + b;
  const Tensor dy(NDArray::of<double>(std::vector<double>{1, 2, 3, 4}, {2, 2}));
  y.backward(dy);
  const auto print = [](const char* name, const Tensor& t) {
    std::cout << name << " " << t.shape() << ":";
    for (int64_t i = 0; i < t.size(); ++i) std::cout << " " << t.value().data<double>()[i];
    std::cout << "\n";
  };
  print("y", y);
  print("dL/dx", x.grad());
  print("dL/dw", w.grad());
  print("dL/db", b.grad());
  check(w.grad().value().data<double>()[5] == 30);

  const Tensor logits(NDArray::of<double>(std::vector<double>{2, 1, 0}, {1, 3}), true);
  const Tensor label(NDArray::of<int64_t>(std::vector<int64_t>{0}, {1}));
  const Tensor loss = cross_entropy(logits, label);
  loss.backward();
  const double* g = logits.grad().value().data<double>();
  std::printf("loss %.4f, dL/dlogits %.4f %.4f %.4f\n", loss.item(), g[0], g[1], g[2]);
  check(near(g[0] + g[1] + g[2], 0));
}

void accumulation() {
  std::printf("== a value used twice\n");
  const Tensor x = leaf(3);
  (x * x + x).backward();
  std::printf("d(x x + x)/dx at 3 = %g\n", x.grad().item());
  (x * x + x).backward();
  std::printf("after a second backward without clearing: %g\n", x.grad().item());
  check(x.grad().item() == 14);
}

void again() {
  std::printf("== gradients of gradients\n");
  const Tensor x = leaf(2);
  const Tensor y = x * x * x;
  const Tensor first = grad({y}, {x}, {}, {.create_graph = true})[0];
  const Tensor second = grad({first}, {x}, {}, {.create_graph = true})[0];
  const Tensor third = grad({second}, {x})[0];
  std::printf("x^3 at 2: %g %g %g %g\n", y.item(), first.item(), second.item(), third.item());
  check(first.item() == 12 && second.item() == 12 && third.item() == 6);
}

// --- checkpointing: a chain of `kSteps` tanh on a block of 64 KiB ---

constexpr int kSteps = 64;
const Shape kBlock{8192};  // float64

Tensor chain(Tensor x, int steps) {
  for (int i = 0; i < steps; ++i) x = tanh(x);
  return x;
}

/// Blocks of memory in use beyond what `before` says.
int64_t blocks_since(int64_t before) {
  return (cache_statistics().bytes_in_use - before) / (kBlock.size() * 8);
}

void checkpointing() {
  std::printf("== checkpointing\n");
  const Tensor x(filled(kBlock, 0.5, DType::float64), true);
  int64_t before = cache_statistics().bytes_in_use;
  Tensor expected;
  {
    const Tensor y = chain(x, kSteps);
    std::printf("whole graph: %lld blocks live after the forward pass\n",
                static_cast<long long>(blocks_since(before)));
    expected = grad({sum(y)}, {x})[0];
  }

  // Keep the value at the start of each segment only; build each segment's graph when its turn
  // comes, from the last to the first.
  const int segments = 8, length = kSteps / segments;
  before = cache_statistics().bytes_in_use;
  Tensors starts;
  {
    const NoGrad guard;
    Tensor value = x;
    for (int s = 0; s < segments; ++s) {
      starts.push_back(value);
      value = chain(value, length);
    }
  }
  std::printf("%d segments: %lld blocks live after the forward pass\n", segments,
              static_cast<long long>(blocks_since(before)));
  Tensor dy = ones(kBlock, DType::float64);
  int64_t most = 0;
  for (int s = segments - 1; s >= 0; --s) {
    const Tensor start(starts.back().value(), true);
    starts.pop_back();
    const Tensor end = chain(start, length);
    most = std::max(most, blocks_since(before));
    dy = grad({end}, {start}, {dy})[0];
  }
  std::printf("segments: at most %lld blocks, %d tanh instead of %d\n",
              static_cast<long long>(most), 2 * kSteps, kSteps);
  check(dy.value().data<double>()[0] == expected.value().data<double>()[0]);
}

template <class F>
void mistake(const char* what, F&& f) {
  try {
    f();
  } catch (const RuntimeError& error) {
    std::cout << what << ": " << error.what() << "\n";
    return;
  }
  check(false);
}

void mistakes() {
  std::printf("== mistakes that are caught\n");
  mistake("a vector", [] { Tensor(filled({3}, 1, DType::float64), true).backward(); });
  mistake("twice", [] {
    const Tensor x = leaf(2);
    const Tensor y = x * x;
    y.backward();
    y.backward();
  });
  mistake("changed", [] {
    const Tensor x = leaf(2);
    const Tensor y = x * x;
    assign(x.value(), filled({}, 5, DType::float64));
    y.backward();
  });
}

int main() {
  one_derivative();
  step_size();
  vector_jacobian_products();
  accumulation();
  again();
  checkpointing();
  mistakes();
}
