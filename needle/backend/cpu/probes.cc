// Loops that do one thing only, to measure what one core can do of it.  (Lesson 04)
#include "needle/backend/cpu/probes.h"

#include "needle/backend/cpu/isa.h"

namespace needle::NEEDLE_ISA {
namespace {

/// An FMA takes 4 or 5 cycles and two can begin in each: 10 chains keep both units busy, and with 12
/// and the two operands 14 of the 16 registers are in use.
constexpr int kChains = 12;

template <class T>
double multiply_adds(int64_t rounds) {
  using V = Vec<T>;
  V sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = V(static_cast<T>(i));
  const V a(T(0.5)), b(T(0.25));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = fma<T>(sum[i], a, b);
  }
  V total = sum[0];
  for (int i = 1; i < kChains; ++i) total += sum[i];
  return static_cast<double>(hsum<T>(total));
}

double read(const float* x, int64_t n) {
  constexpr int kUnroll = 8;
  Vec<float> sum[kUnroll];
  for (int u = 0; u < kUnroll; ++u) sum[u] = Vec<float>(0.0F);
  for (int64_t i = 0; i + kUnroll * kWidth<float> <= n; i += kUnroll * kWidth<float>) {
#pragma GCC unroll 8
    for (int u = 0; u < kUnroll; ++u) {
      sum[u] += Vec<float>::load_unaligned(x + i + u * kWidth<float>);
    }
  }
  for (int u = 1; u < kUnroll; ++u) sum[0] += sum[u];
  return static_cast<double>(hsum<float>(sum[0]));
}

}  // namespace

extern const Probes probes;
const Probes probes = {
    .multiply_adds32 = multiply_adds<float>,
    .multiply_adds64 = multiply_adds<double>,
    .flops32 = 2 * kChains * kWidth<float>,
    .flops64 = 2 * kChains * kWidth<double>,
    .read = read,
};

}  // namespace needle::NEEDLE_ISA
