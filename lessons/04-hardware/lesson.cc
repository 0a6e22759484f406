// Lesson 4: what a core and its memory can do, counted with small models and checked on kernels.
//
//   build/release/lessons/04-hardware
#include <cmath>
#include <cstdio>
#include <vector>

#include "lessons/lesson.h"
#include "needle/backend/ladder.h"
#include "needle/backend/machine.h"
#include "needle/backend/registry.h"
#include "needle/op/op.h"

using lesson::check;
using namespace needle;

// --- a core ---

/// Cycles for n additions in `chains` sums. An addition takes `latency` cycles, and `units` of them
/// can begin in one cycle, but each waits for the one before it in its own chain.
int cycles(int n, int chains, int latency, int units) {
  std::vector<int> ready(static_cast<size_t>(chains), 0);  // when each chain's last result is there
  int now = 0, begun = 0, last = 0;
  for (int i = 0; i < n; ++i) {
    int& chain = ready[static_cast<size_t>(i % chains)];
    if (begun == units || chain > now) {
      now = std::max(now + (begun == units ? 1 : 0), chain);
      begun = 0;
    }
    ++begun;
    chain = now + latency;
    last = std::max(last, chain);
  }
  return last;
}

void a_core() {
  std::printf("== a core\n");
  for (int chains : {1, 2, 4, 8, 16}) {
    std::printf("1024 additions in %2d chains: %4d cycles\n", chains, cycles(1024, chains, 4, 2));
  }
  check(cycles(1024, 1, 4, 2) == 4096 && cycles(1024, 16, 4, 2) < 520);
  std::printf("8 lanes, 2 units, 2 FLOPs, 3.2 GHz: %.1f GFLOP/s\n", 8 * 2 * 2 * 3.2);
}

// --- a cache ---

/// A cache of 32 KiB: 64 sets of 8 lines of 64 bytes. A line has its place in one set alone, and
/// takes there the place of the line that was not used for longest.
class Cache {
 public:
  void read(uint64_t address) {
    const uint64_t line = address / 64;
    uint64_t* set = lines_[line % 64];
    int at = 0;
    while (at < 8 && set[at] != line) ++at;
    misses += at == 8;
    for (int i = std::min(at, 7); i > 0; --i) set[i] = set[i - 1];
    set[0] = line;
  }
  int64_t misses = 0;

 private:
  uint64_t lines_[64][8] = {};  // by set, the last used first
};

/// Misses when 256 rows of 16 floats are read for the second time, their rows `step` bytes apart.
int64_t misses_of_a_panel(uint64_t step) {
  Cache cache;
  int64_t first = 0;
  for (int turn = 0; turn < 2; ++turn) {
    first = cache.misses;
    for (uint64_t row = 0; row < 256; ++row) {
      for (uint64_t j = 0; j < 16; ++j) cache.read(row * step + j * 4);
    }
  }
  return cache.misses - first;
}

void a_cache() {
  std::printf("== a cache of 32 KiB\n");
  Cache rows, columns;
  const uint64_t n = 256;
  for (uint64_t i = 0; i < n; ++i) {
    for (uint64_t j = 0; j < n; ++j) {
      rows.read(4 * (i * n + j));
      columns.read(4 * (j * n + i));
    }
  }
  std::printf("256 x 256 floats by row: %lld misses, by column: %lld\n",
              static_cast<long long>(rows.misses), static_cast<long long>(columns.misses));
  for (const auto& [what, step] : {std::pair<const char*, uint64_t>{"of a matrix 1024 wide", 4096},
                                   {"of a matrix 1040 wide", 4160},
                                   {"packed", 64}}) {
    std::printf("a panel of 256 x 16 %s, again: %lld misses\n", what,
                static_cast<long long>(misses_of_a_panel(step)));
  }
  check(misses_of_a_panel(4096) == 256 && misses_of_a_panel(64) == 0);
}

// --- bytes for a FLOP ---

/// FLOP per byte that is loaded, if a tile of C stays in registers: one step of p takes a column of
/// A and a row of B, and does a multiplication and an addition for each element of the tile.
double tile_intensity(double rows, double columns) {
  return 2 * rows * columns / (4 * (rows + columns));
}

void tiles() {
  std::printf("== tiles\n");
  std::printf("v1, a sum in a register:     %5.2f FLOP/byte\n", tile_intensity(1, 1));
  std::printf("v2, v3, C in memory:         %5.2f\n", 2.0 / 12);
  std::printf("v4, a tile of  6 x 16:       %5.2f\n", tile_intensity(6, 16));
  std::printf("32 registers of 16: 14 x 32: %5.2f\n", tile_intensity(14, 32));
}

void fusion() {
  std::printf("== fusion: y = gelu(x * w + b), a million elements\n");
  const int64_t n = 1'000'000;
  const int64_t steps = 4 * n * (3 + 3 + 2), fused = 4 * n * 4;
  std::printf("three kernels: %lld MB moved, one: %lld MB\n",
              static_cast<long long>(steps / 1'000'000), static_cast<long long>(fused / 1'000'000));
}

// --- rounding ---

/// Numbers in [0, 1), the same ones everywhere.
std::vector<float> numbers(size_t n) {
  std::vector<float> x(n);
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(state >> 8) / 16777216.0f;
  }
  return x;
}

float running(const float* x, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

float eight_chains(const float* x, size_t n) {
  float sum[8] = {};
  for (size_t i = 0; i < n; ++i) sum[i % 8] += x[i];
  return running(sum, 8);
}

float pairwise(const float* x, size_t n) {
  return n == 1 ? x[0] : pairwise(x, n / 2) + pairwise(x + n / 2, n - n / 2);
}

float in_pieces(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i += 4096) sum += eight_chains(x + i, std::min<size_t>(4096, n - i));
  return static_cast<float>(sum);
}

void rounding() {
  std::printf("== a sum of 2^20 numbers in [0, 1)\n");
  const std::vector<float> x = numbers(1 << 20);
  double exact = 0;  // multiples of 2^-24 that add up to less than 2^21: nothing is rounded
  for (float value : x) exact += value;
  const double u = std::ldexp(1.0, -24);
  const auto tell = [&](const char* how, float (*sum)(const float*, size_t), double additions) {
    const double error = std::abs(sum(x.data(), x.size()) - exact) / exact;
    std::printf("%-20s error %.0e, bound %.0e\n", how, error, additions * u);
    check(error <= additions * u);
    return error;
  };
  const double first = tell("one chain", running, (1 << 20) - 1);
  tell("eight chains", eight_chains, (1 << 17) + 7);
  tell("pieces, then float64", in_pieces, 4096 / 8 + 8);
  check(tell("in pairs", pairwise, 20) < first);
}

// --- softmax in two passes ---

/// The largest number and the sum of exp(x - largest), in one pass: when a larger one comes, what
/// has been added up so far shrinks.
std::pair<double, double> online(const std::vector<float>& x) {
  double largest = -INFINITY, sum = 0;
  for (double value : x) {
    if (value > largest) {
      sum *= std::exp(largest - value);
      largest = value;
    }
    sum += std::exp(value - largest);
  }
  return {largest, sum};
}

void softmax_in_two() {
  std::printf("== one pass for the largest and for the sum\n");
  const std::vector<float> x{1, 3, 2, 1000, 999};
  const auto [largest, sum] = online(x);
  std::printf("largest %g, sum %.4f\n", largest, sum);
  check(std::abs(sum - (1 + std::exp(-1.0))) < 1e-9);
}

// --- threads ---

/// The sum that comes out if n numbers are cut into equal pieces, one running sum each.
float cut(const std::vector<float>& x, size_t pieces) {
  float sum = 0;
  for (size_t i = 0; i < pieces; ++i) {
    const size_t begin = x.size() * i / pieces, end = x.size() * (i + 1) / pieces;
    sum += running(x.data() + begin, end - begin);
  }
  return sum;
}

void threads() {
  std::printf("== threads\n");
  const std::vector<float> x = numbers(100'000);
  for (size_t pieces : {1, 2, 3, 4}) {
    std::printf("cut for %zu threads: %.3f\n", pieces, cut(x, pieces));
  }
  const Tensor values(NDArray::of<float>(x, {100'000}));
  const int before = num_threads();
  const double one = (set_num_threads(1), sum(values).item());
  const double two = (set_num_threads(2), sum(values).item());
  set_num_threads(before);
  std::printf("needle, 1 and 2 threads: %s\n", one == two ? "the same bits" : "other bits");
  check(one == two);
  for (double work : {1.0, 10.0, 100.0, 1000.0}) {
    std::printf("%4.0f us of work, 5 us to start: two threads are %.2f times as fast\n", work,
                work / (work / 2 + 5));
  }
}

// --- the library ---

void the_ladder() {
  std::printf("== the ladder\n");
  const Tensor a = randn({37, 300}), b = randn({300, 53});
  const Tensor far =
      matmul(to_device(a, device_of("reference")), to_device(b, device_of("reference")));
  const Tensor want = to_device(far, Device{});
  const NDArray out = NDArray::empty({37, 53}, DType::float32);
  int right = 0;
  for (const auto& rung : ladders().matmul) {
    fill(out, NAN);
    rung.run(a.value().view(), b.value().view(), out.view());
    right += max(abs(Tensor(out) - want)).item() < 1e-3;
  }
  std::printf("%d rungs of %d agree with the reference\n", right, ladders().matmul.count);
  check(right == ladders().matmul.count);
  const Rung<decltype(Kernels::matmul)>& last = ladders().matmul.rungs[ladders().matmul.count - 1];
  const bool same = last.run == kernels(Device{}).matmul;
  std::printf("the last one is the library's own: %s\n", same ? "true" : "false");
  check(same);
}

void this_machine() {
  std::printf("== this machine (measured, differs from run to run)\n");
  const Caches& c = caches();
  std::printf("%s, %d threads, FMA peak %.1f GFLOP/s\n", cpu_isa(), num_threads(),
              fma_peak(DType::float32, 1) / 1e9);
  for (int64_t bytes : {c.l1 / 2, c.l2 / 2, c.l3 / 4, 4 * c.l3}) {
    std::printf("reading %8lld KiB again and again: %6.1f GB/s\n",
                static_cast<long long>(bytes >> 10), read_bandwidth(bytes, 1) / 1e9);
  }
}

int main() {
  a_core();
  a_cache();
  tiles();
  fusion();
  rounding();
  softmax_in_two();
  threads();
  the_ladder();
  this_machine();
}
