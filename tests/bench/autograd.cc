// The graphs of tests/bench/autograd.py from C++. Reads lines such as `chain 100000`, answers each
// with the seconds that building, differentiating and dropping the graph took.
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "needle/op/op.h"

using namespace needle;

static Tensor leaf(float a, float b, bool requires_grad) {
  const float values[] = {a, b};
  return Tensor(NDArray::of<float>(values, {2}), requires_grad);
}

static Tensor chain(const Tensor& x, const Tensor& w, int64_t ops) {
  Tensor y = x;
  for (int64_t i = 0; i < ops / 2; ++i) {
    y = y * w;
    y = y + x;
  }
  return y;
}

static Tensor dag(const Tensor& x, const Tensor& w, int64_t ops) {
  Tensors recent;
  for (int k = 0; k < 8; ++k) recent.push_back(x * w);
  Tensor last = recent[0];
  for (int64_t k = 0; k < (ops - 8) / 2; ++k) {
    last = (recent[k % 8] + recent[(3 * k + 1) % 8]) * w;
    recent[k % 8] = last;
  }
  return last;
}

int main() {
  std::string shape;
  int64_t ops = 0;
  while (std::cin >> shape >> ops) {
    const Tensor x = leaf(1, 2, true);
    const Tensor w = leaf(0.5, 0.25, true);
    const Tensor dy = leaf(1, 1, false);
    const auto start = std::chrono::steady_clock::now();
    (shape == "dag" ? dag : chain)(x, w, ops).backward(dy);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cout << seconds.count() << std::endl;
  }
}
