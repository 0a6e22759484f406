// Lesson 1: what a training step costs, counted by hand and then measured.
//
//   build/release/lessons/01-introduction
#include <cstdio>
#include <vector>

#include "lessons/lesson.h"
#include "needle/backend/registry.h"
#include "needle/op/op.h"

using lesson::check;
using namespace needle;

/// What an operation does: floating-point operations, and the bytes that must cross the border
/// between memory and processor if every array is read or written exactly once.
struct Cost {
  double flops;
  double bytes;
  double intensity() const { return flops / bytes; }
};

constexpr double kFloat = 4;  // bytes of a float32

/// (m, k) x (k, n): m * n results, each a sum of k products.
Cost matmul_cost(double m, double k, double n) {
  return {2 * m * k * n, kFloat * (m * k + k * n + m * n)};
}

/// c = a + b: one addition an element, two reads and a write.
Cost add_cost(double n) { return {n, kFloat * 3 * n}; }

/// softmax(q k^T) v for `heads` heads of t tokens and d numbers each. A fused kernel keeps the
/// scores in registers and cache; without fusion the (t, t) scores are written, read by the
/// softmax, written again and read by the second product.
Cost attention_cost(double heads, double t, double d, bool fused) {
  const double operands = 4 * heads * t * d;  // q, k, v and the output
  const double scores = fused ? 0 : 4 * heads * t * t;
  return {2 * 2 * heads * t * t * d, kFloat * (operands + scores)};
}

void print(const char* what, const Cost& cost) {
  std::printf("%-36s %14.0f FLOP %13.0f bytes %8.3f FLOP/byte\n", what, cost.flops, cost.bytes,
              cost.intensity());
}

void counting() {
  std::printf("== counting\n");
  print("matmul 1024 x 1024 x 1024", matmul_cost(1024, 1024, 1024));
  print("matmul 1 x 1024 x 1024", matmul_cost(1, 1024, 1024));
  print("add of 1048576 elements", add_cost(1 << 20));
  print("attention 8 x 1024 x 64, in steps", attention_cost(8, 1024, 64, false));
  print("attention 8 x 1024 x 64, fused", attention_cost(8, 1024, 64, true));
  check(matmul_cost(1024, 1024, 1024).flops == attention_cost(8, 1024, 64, true).flops);
}

/// The parameters of a decoder of `layers` blocks: attention has four (d, d) matrices, the
/// feed-forward part 8 d^2 in total; the embedding is shared with the output.
double decoder_parameters(double layers, double d, double vocabulary) {
  return layers * (4 * d * d + 8 * d * d) + vocabulary * d;
}

void decoder() {
  std::printf("== decoder\n");
  const double layers = 8, d = 512, vocabulary = 8192, t = 512;
  const double n = decoder_parameters(layers, d, vocabulary);
  const double weights = 6 * n;               // forward 2, backward 4
  const double scores = 12 * layers * t * d;  // the same factor 3 on 4 t d a layer
  std::printf("parameters                       %14.0f\n", n);
  std::printf("FLOP per training token, weights %14.0f\n", weights);
  std::printf("FLOP per training token, scores  %14.0f\n", scores);
  std::printf("share of the scores              %14.3f\n", scores / (weights + scores));
  std::printf("bytes of AdamW training state    %14.0f\n", 16 * n);
  const double total = weights * 20 * n;
  std::printf("FLOP for 20 tokens a parameter   %14.3e\n", total);
  std::printf("days at 100 GFLOP/s              %14.1f\n", total / 100e9 / 86400);
  std::printf("minutes at 400 TFLOP/s           %14.1f\n", total / 400e12 / 60);
}

/// FMA rate: what a large matmul reaches. FLOP/s.
double measured_peak() {
  const int64_t n = 768;
  const Tensor a = randn({n, n}), b = randn({n, n});
  const double time = lesson::seconds(5, [&] { matmul(a, b); });
  return matmul_cost(n, n, n).flops / time;
}

/// Copies of `bytes` bytes, often enough to take a while: read plus written bytes per second.
double measured_bandwidth(int64_t bytes) {
  const Tensor x = ones({bytes / 4}), y = zeros({bytes / 4});
  const int64_t copies = std::max<int64_t>(1, (16 << 20) / bytes);
  const double time = lesson::seconds(5, [&] {
    for (int64_t i = 0; i < copies; ++i) assign(y.value(), x.value());
  });
  return 2.0 * static_cast<double>(bytes * copies) / time;
}

/// The roofline: no kernel of this intensity can be faster.
double attainable(double intensity, double peak, double bandwidth) {
  return std::min(peak, intensity * bandwidth);
}

void machine() {
  std::printf("== this machine (measured, differs from run to run)\n");
  std::printf("instruction set %s, %d threads\n", cpu_isa(), num_threads());
  for (int64_t kib : {16, 256, 4096, 65536}) {
    std::printf("copy of %6lld KiB %8.1f GB/s\n", static_cast<long long>(kib),
                measured_bandwidth(kib << 10) / 1e9);
  }
  const double peak = measured_peak();
  const double bandwidth = measured_bandwidth(64 << 20);
  std::printf("matmul          %8.1f GFLOP/s\n", peak / 1e9);
  std::printf("ridge point     %8.2f FLOP/byte\n", peak / bandwidth);

  const int64_t n = 8 << 20;
  const Tensor a = ones({n}), b = ones({n});
  const double time = lesson::seconds(5, [&] { add(a, b); });
  const Cost cost = add_cost(static_cast<double>(n));
  const double bound = attainable(cost.intensity(), peak, bandwidth);
  std::printf("add: %.2f GFLOP/s, the roof is at %.2f\n", cost.flops / time / 1e9, bound / 1e9);
  check(bound <= peak);
}

/// The same additions in two orders. Neighbours in a row share a cache line, those in a column
/// do not.
void order_matters() {
  std::printf("== order (measured)\n");
  const int n = 4096;
  std::vector<float> x(static_cast<size_t>(n) * n, 1.0f);
  double rows = 0, columns = 0;
  const double by_row = lesson::seconds(3, [&] {
    rows = 0;
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) rows += x[static_cast<size_t>(i) * n + j];
    }
  });
  const double by_column = lesson::seconds(3, [&] {
    columns = 0;
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < n; ++i) columns += x[static_cast<size_t>(i) * n + j];
    }
  });
  check(rows == columns && rows == double(n) * n);
  std::printf("by row %.2f ms, by column %.2f ms: %.1f times\n", by_row * 1e3, by_column * 1e3,
              by_column / by_row);
}

int main() {
  counting();
  decoder();
  machine();
  order_matters();
}
