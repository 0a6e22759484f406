// AdamW, random numbers, dropout.  (Lessons 04 and 05)
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"
#include "needle/backend/random.h"

namespace needle::NEEDLE_GPU {
namespace {

constexpr int kThreads = 256;

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>(ceil_div(threads, kThreads)); }

/// What a step of AdamW needs, in the type of the parameter.
template <class T>
struct Rates {
  T beta1, rest1, beta2, rest2, keep, rate, root, eps;

  explicit Rates(const AdamWStep& s)
      : beta1(static_cast<T>(s.beta1)),
        rest1(static_cast<T>(1 - s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        rest2(static_cast<T>(1 - s.beta2)),
        keep(static_cast<T>(1 - s.lr * s.weight_decay)),
        rate(static_cast<T>(s.lr / s.correction1)),
        root(static_cast<T>(1 / std::sqrt(s.correction2))),
        eps(static_cast<T>(s.eps)) {}

  __device__ void step(T& p, T g, T& m, T& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = p * keep - rate * m / (std::sqrt(v) * root + eps);
  }
};

/// Reads p, g, m, v once and writes p, m, v once: 28 bytes per float32 parameter is the limit.
template <class T, int V>
__global__ void adamw_kernel(int64_t n, const Rates<T> rates, T* p, const T* g, T* m, T* v) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  if (i + V <= n) {
    using Vector = Pack<T, V>;
    Vector ps = *reinterpret_cast<Vector*>(p + i), gs = *reinterpret_cast<const Vector*>(g + i);
    Vector ms = *reinterpret_cast<Vector*>(m + i), vs = *reinterpret_cast<Vector*>(v + i);
    for (int j = 0; j < V; ++j) rates.step(ps.at[j], gs.at[j], ms.at[j], vs.at[j]);
    *reinterpret_cast<Vector*>(p + i) = ps;
    *reinterpret_cast<Vector*>(m + i) = ms;
    *reinterpret_cast<Vector*>(v + i) = vs;
  } else {
    for (int64_t j = i; j < n; ++j) rates.step(p[j], g[j], m[j], v[j]);
  }
}

// A block of Philox gives four numbers, which go to elements first ... first + 3, where `first` may lie
// before element 0. A thread takes kShare blocks, as far apart as the block of threads is wide: one is
// 55 instructions, the keys and addresses before it 50. Writing leaves time for 100, and not more.
constexpr int kShare = 4;

unsigned shares_for(int64_t elements) { return blocks_for(ceil_div(elements / 4 + 2, kShare)); }

/// The first of a thread's blocks of Philox, counted from that of element 0.
__device__ inline int64_t first_block() {
  return int64_t{blockIdx.x} * blockDim.x * kShare + threadIdx.x;
}

/// f(i, j) for the elements i of n that get numbers j of a thread's blocks, block by block: before them,
/// start(block).
template <class Start, class F>
__device__ void one_by_one(uint64_t offset, int64_t n, Start start, F f) {
#pragma unroll 1
  for (int s = 0; s < kShare; ++s) {
    const int64_t block = first_block() + s * int64_t{blockDim.x};
    const int64_t first = block * 4 - static_cast<int64_t>(offset % 4);
    if (first >= n) return;
    start(block);
    for (int j = 0; j < 4; ++j) {
      if (first + j >= 0 && first + j < n) f(first + j, j);
    }
  }
}

/// Whether all blocks from `begin` on are whole ones of n elements that begin with a block.
__device__ inline bool are_whole(int64_t begin, int64_t n) {
  return (begin + (kShare - 1) * int64_t{blockDim.x} + 1) * 4 <= n;
}

/// The numbers of one block as T: uniform in [0, 1).
template <class T>
__device__ Pack<T, 4> uniform_block(uint64_t seed, uint64_t block) {
  const Philox bits = philox(seed, block);
  Pack<T, 4> out;
  for (int j = 0; j < 4; ++j) out.at[j] = static_cast<T>((bits.word[j] >> 8) * 0x1p-24f);
  return out;
}

/// Standard normal numbers (Box-Muller): see philox_normal in random.h.
__device__ inline void normal_pair(uint32_t a, uint32_t b, double& first, double& second) {
  const double radius = std::sqrt(-2.0 * std::log((a + 0.5) * 0x1p-32));
  const double angle = 6.283185307179586476925286766559 * (b * 0x1p-32);
  first = radius * std::cos(angle);
  second = radius * std::sin(angle);
}

/// log(u) of u = small or, if `below_one`, 1 - small, for `small` up to 1/2: with all its digits,
/// however near to 1 u is. u = 2^k (1 + f), f between sqrt(1/2) - 1 and sqrt(2) - 1 and exact; then
/// log(1 + f) = f - f^2 / 2 + f^3 (a polynomial, fitted, relative error 3e-8).
__device__ inline float log_beside_one(float small, bool below_one) {
  constexpr int kRootOfHalf = 0x3f3504f3;  // its bits
  const int bits = __float_as_int(small);
  int k = (bits - kRootOfHalf) >> 23;
  float f = __int_as_float(bits - (k << 23)) - 1;
  if (below_one) {
    const bool halve = small > 0.29289322f;
    k = halve ? -1 : 0;
    f = halve ? 1 - 2 * small : -small;
  }
  float p = 0.087004345f;
  p = p * f - 0.14267487f;
  p = p * f + 0.14914768f;
  p = p * f - 0.16577585f;
  p = p * f + 0.19963064f;
  p = p * f - 0.25001337f;
  p = p * f + 0.33333911f;
  return k * 0.69314718f + (f + f * f * (p * f - 0.5f));
}

/// The same without double, and without the functions of the library, which take longer than memory
/// does. u = (a + 0.5) / 2^32 and the angle have more digits than a float, so each is taken from the
/// end near which it is small.
__device__ inline void normal_pair(uint32_t a, uint32_t b, float& first, float& second) {
  const bool above = a >> 31;
  const float small = (static_cast<float>(above ? ~a : a) + 0.5f) * 0x1p-32f;
  const float square = -2 * log_beside_one(small, above);  // from 2^-32
  const float radius = square * rsqrtf(square);
  const uint32_t quarter = (b + 0x20000000u) >> 30;  // the nearest quarter turn, and the rest
  const auto rest = static_cast<float>(static_cast<int32_t>(b - (quarter << 30)));
  const float angle = rest * (6.283185307179586f * 0x1p-32f);
  // Up to an eighth of a turn a few terms do: sin and cos with relative errors of 4e-9 and less.
  const float q = angle * angle;
  const float s = angle + angle * q * (-0.16666655f + q * (0.0083321603f + q * -0.00019515218f));
  const float c = 1 + q * (-0.5f + q * (0.041666646f + q * (-0.0013887316f + q * 2.4433083e-5f)));
  const float x = quarter % 2 == 0 ? c : -s, y = quarter % 2 == 0 ? s : c;
  first = radius * (quarter / 2 % 2 == 0 ? x : -x);
  second = radius * (quarter / 2 % 2 == 0 ? y : -y);
}

template <class T>
__device__ Pack<T, 4> normal_block(uint64_t seed, uint64_t block) {
  const Philox bits = philox(seed, block);
  Pack<T, 4> out;
  normal_pair(bits.word[0], bits.word[1], out.at[0], out.at[1]);
  normal_pair(bits.word[2], bits.word[3], out.at[2], out.at[3]);
  return out;
}

/// Four elements, as wide as a thread can.
template <class T>
__device__ Pack<T, 4> load_block(const char* from) {
  constexpr int V = 16 / sizeof(T);
  Pack<T, 4> all;
  for (int j = 0; j < 4; j += V) {
    const auto part = *reinterpret_cast<const Pack<T, V>*>(from + j * sizeof(T));
    for (int k = 0; k < V; ++k) all.at[j + k] = part.at[k];
  }
  return all;
}

template <class T>
__device__ void store_block(char* to, const Pack<T, 4>& numbers) {
  constexpr int V = 16 / sizeof(T);
  for (int j = 0; j < 4; j += V) {
    Pack<T, V> part;
    for (int k = 0; k < V; ++k) part.at[k] = numbers.at[j + k];
    *reinterpret_cast<Pack<T, V>*>(to + j * sizeof(T)) = part;
  }
}

/// Limit: writing out once.
template <class T, bool normal, bool packed>
__global__ void __launch_bounds__(kThreads, 4)
    random_kernel(const Walk<1> w, uint64_t seed, uint64_t offset) {
  const int64_t begin = first_block();
  const auto numbers_of = [&](int64_t block) {
    const uint64_t counter = offset / 4 + static_cast<uint64_t>(block);
    return normal ? normal_block<T>(seed, counter) : uniform_block<T>(seed, counter);
  };
  if (packed && are_whole(begin, w.size)) {
#pragma unroll
    for (int s = 0; s < kShare; ++s) {
      const int64_t block = begin + s * int64_t{blockDim.x};
      store_block(w.data[0] + block * static_cast<int64_t>(4 * sizeof(T)), numbers_of(block));
    }
    return;
  }
  Pack<T, 4> numbers;
  one_by_one(
      offset, w.size, [&](int64_t block) { numbers = numbers_of(block); },
      [&](int64_t i, int j) {
        int64_t at[1];
        w.locate(i, at);
        *reinterpret_cast<T*>(w.data[0] + at[0]) = numbers.at[j];
      });
}

/// Operands: out, x. Reads x once and writes out once; the numbers never see memory.
template <class T, bool packed>
__global__ void __launch_bounds__(kThreads, 4)
    dropout_kernel(const Walk<2> w, uint64_t seed, uint64_t offset, float p, T scale) {
  const int64_t begin = first_block();
  const auto numbers_of = [&](int64_t block) {
    return uniform_block<float>(seed, offset / 4 + static_cast<uint64_t>(block));
  };
  if (packed && are_whole(begin, w.size)) {
    Pack<T, 4> x[kShare];  // on its way while the numbers are made
#pragma unroll
    for (int s = 0; s < kShare; ++s) {
      const int64_t block = begin + s * int64_t{blockDim.x};
      x[s] = load_block<T>(w.data[1] + block * static_cast<int64_t>(4 * sizeof(T)));
    }
#pragma unroll
    for (int s = 0; s < kShare; ++s) {
      const int64_t block = begin + s * int64_t{blockDim.x};
      const auto numbers = numbers_of(block);
      for (int j = 0; j < 4; ++j) x[s].at[j] *= numbers.at[j] >= p ? scale : T(0);
      store_block(w.data[0] + block * static_cast<int64_t>(4 * sizeof(T)), x[s]);
    }
    return;
  }
  Pack<float, 4> numbers;
  one_by_one(
      offset, w.size, [&](int64_t block) { numbers = numbers_of(block); },
      [&](int64_t i, int j) {
        int64_t at[2];
        w.locate(i, at);
        *reinterpret_cast<T*>(w.data[0] + at[0]) =
            *reinterpret_cast<const T*>(w.data[1] + at[1]) * (numbers.at[j] >= p ? scale : T(0));
      });
}

bool aligned(const View& x) { return reinterpret_cast<uintptr_t>(x.data) % 16 == 0; }

}  // namespace

void adamw(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v) {
  const int64_t n = p.size();
  if (n == 0) return;
  const bool packed = aligned(p) && aligned(g) && aligned(m) && aligned(v);
  visit_floating(p.dtype, [&]<class T>(Tag<T>) {
    constexpr int V = 16 / sizeof(T);
    if (packed) {
      NEEDLE_LAUNCH((adamw_kernel<T, V>), blocks_for(ceil_div(n, V)), kThreads, 0, n,
                    Rates<T>(step), p.as<T>(), g.as<T>(), m.as<T>(), v.as<T>());
    } else {
      NEEDLE_LAUNCH((adamw_kernel<T, 1>), blocks_for(n), kThreads, 0, n, Rates<T>(step), p.as<T>(),
                    g.as<T>(), m.as<T>(), v.as<T>());
    }
  });
}

void random(Random kind, uint64_t seed, uint64_t offset, const View& out) {
  const auto w = walk(Order::row_major, out);
  if (w.size == 0) return;
  const unsigned blocks = shares_for(w.size);
  const int item = static_cast<int>(size_of(out.dtype));
  const bool packed = w.ndim == 1 && offset % 4 == 0 && w.packs(16 / item, {item});
  visit_floating(out.dtype, [&]<class T>(Tag<T>) {
    const auto launch = [&]<bool normal, bool wide>(std::bool_constant<normal>,
                                                    std::bool_constant<wide>) {
      NEEDLE_LAUNCH((random_kernel<T, normal, wide>), blocks, kThreads, 0, w, seed, offset);
    };
    if (kind == Random::normal) {
      packed ? launch(std::true_type{}, std::true_type{})
             : launch(std::true_type{}, std::false_type{});
    } else {
      packed ? launch(std::false_type{}, std::true_type{})
             : launch(std::false_type{}, std::false_type{});
    }
  });
}

void dropout(uint64_t seed, uint64_t offset, double p, const View& x, const View& out) {
  const auto w = walk(Order::row_major, out, x);
  if (w.size == 0) return;
  const unsigned blocks = shares_for(w.size);
  const int item = static_cast<int>(size_of(x.dtype));
  const bool packed =
      w.ndim == 1 && offset % 4 == 0 && w.step(1) == item && w.packs(16 / item, {item, item});
  const auto least_kept = static_cast<float>(p);
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    const auto scale = static_cast<T>(1 / (1 - p));
    if (packed) {
      NEEDLE_LAUNCH((dropout_kernel<T, true>), blocks, kThreads, 0, w, seed, offset, least_kept,
                    scale);
    } else {
      NEEDLE_LAUNCH((dropout_kernel<T, false>), blocks, kThreads, 0, w, seed, offset, least_kept,
                    scale);
    }
  });
}

}  // namespace needle::NEEDLE_GPU
