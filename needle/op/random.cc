// Random tensors from a counter-based stream.  (Lesson 02)
#include <algorithm>
#include <atomic>

#include "needle/backend/random.h"
#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle {

uint64_t Generator::take(int64_t count) {
  // Blocks of Philox give four numbers; starting at a whole one keeps Box-Muller pairs together.
  const uint64_t reserved = (static_cast<uint64_t>(count) + 3) & ~uint64_t{3};
  return std::atomic_ref(offset_).fetch_add(reserved);
}

Generator& default_generator() {
  static Generator generator(0);
  return generator;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

static Tensor random(Random kind, const Shape& shape, Generator& generator, DType dtype,
                     Device device) {
  refuse_half("rand", dtype, "draw float32 numbers and round them with x.astype(dtype)");
  if (!is_floating(dtype)) throw TypeError(str("rand: only float32 and float64, not ", dtype));
  const NDArray out = NDArray::empty(shape, dtype, device);
  slot(kernels(device), &Kernels::random, "random")(kind, generator.seed(),
                                                    generator.take(out.size()), out.view());
  return Tensor(out);
}

Tensor rand(const Shape& shape, Generator& generator, DType dtype, Device device) {
  return random(Random::uniform, shape, generator, dtype, device);
}

Tensor randn(const Shape& shape, Generator& generator, DType dtype, Device device) {
  return random(Random::normal, shape, generator, dtype, device);
}

/// A number in [0, range) from 64 random bits: the high half of their product. The bias is below
/// range / 2^64.
static int64_t below(uint64_t range, uint64_t seed, uint64_t number) {
  const Philox block = philox(seed, number / 4);
  const uint64_t bits = uint64_t{block.word[0]} << 32 | block.word[1];
  return static_cast<int64_t>(static_cast<unsigned __int128>(bits) * range >> 64);
}

Tensor randint(int64_t low, int64_t high, const Shape& shape, Generator& generator) {
  if (low >= high) throw ValueError(str("randint: [", low, ", ", high, ") is empty"));
  const NDArray out = NDArray::empty(shape, DType::int64);
  const uint64_t first = generator.take(4 * out.size());
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  for (int64_t i = 0; i < out.size(); ++i) {
    out.data<int64_t>()[i] =
        low + below(range, generator.seed(), first + 4 * static_cast<uint64_t>(i));
  }
  return Tensor(out);
}

Tensor randperm(int64_t n, Generator& generator) {
  if (n < 0) throw ValueError(str("randperm: n = ", n, " is negative"));
  const NDArray out = NDArray::empty({n}, DType::int64);
  int64_t* order = out.data<int64_t>();
  const uint64_t first = generator.take(4 * n);
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    const uint64_t number = first + 4 * static_cast<uint64_t>(i);
    std::swap(order[i], order[below(static_cast<uint64_t>(i) + 1, generator.seed(), number)]);
  }
  return Tensor(out);
}

}  // namespace needle
