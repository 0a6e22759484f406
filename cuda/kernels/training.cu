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

// A block of Philox gives four numbers, so a thread takes the elements of one block: its numbers are
// offset + first ... offset + first + 3, where `first` may lie before element 0.

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

/// The same without double, which would take longer than memory does. u = (a + 0.5) / 2^32 and the
/// angle have more digits than a float, so each is taken from the end near which it is small.
__device__ inline void normal_pair(uint32_t a, uint32_t b, float& first, float& second) {
  const bool above = a >> 31;  // log(u) from 1 - u, that is log1p
  const float small = (static_cast<float>(above ? ~a : a) + 0.5f) * 0x1p-32f;
  const float radius = std::sqrt(-2 * (above ? std::log1p(-small) : std::log(small)));
  const uint32_t quarter = (b + 0x20000000u) >> 30;  // the nearest quarter turn, and the rest
  const auto rest = static_cast<float>(static_cast<int32_t>(b - (quarter << 30)));
  const float angle = rest * (6.283185307179586f * 0x1p-32f);
  const float s = std::sin(angle), c = std::cos(angle);
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

/// Four numbers to the place of element `first`, as wide as a thread can.
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
__global__ void random_kernel(const Walk<1> w, uint64_t seed, uint64_t offset) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t first = thread * 4 - static_cast<int64_t>(offset % 4);
  if (first >= w.size) return;
  const uint64_t block = offset / 4 + static_cast<uint64_t>(thread);
  const Pack<T, 4> numbers = normal ? normal_block<T>(seed, block) : uniform_block<T>(seed, block);
  if (packed && first + 4 <= w.size) {
    return store_block(w.data[0] + first * static_cast<int64_t>(sizeof(T)), numbers);
  }
  for (int j = 0; j < 4; ++j) {
    if (first + j < 0 || first + j >= w.size) continue;
    int64_t at[1];
    w.locate(first + j, at);
    *reinterpret_cast<T*>(w.data[0] + at[0]) = numbers.at[j];
  }
}

/// Operands: out, x. Reads x once and writes out once; the numbers never see memory.
template <class T, bool packed>
__global__ void dropout_kernel(const Walk<2> w, uint64_t seed, uint64_t offset, float p, T scale) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t first = thread * 4 - static_cast<int64_t>(offset % 4);
  if (first >= w.size) return;
  const auto numbers = uniform_block<float>(seed, offset / 4 + static_cast<uint64_t>(thread));
  const auto factor = [&](int j) { return numbers.at[j] >= p ? scale : T(0); };
  constexpr int V = 16 / sizeof(T);
  if (packed && first + 4 <= w.size) {
    for (int j = 0; j < 4; j += V) {
      const int64_t at = (first + j) * static_cast<int64_t>(sizeof(T));
      Pack<T, V> x = *reinterpret_cast<const Pack<T, V>*>(w.data[1] + at);
      for (int k = 0; k < V; ++k) x.at[k] *= factor(j + k);
      *reinterpret_cast<Pack<T, V>*>(w.data[0] + at) = x;
    }
    return;
  }
  for (int j = 0; j < 4; ++j) {
    if (first + j < 0 || first + j >= w.size) continue;
    int64_t at[2];
    w.locate(first + j, at);
    *reinterpret_cast<T*>(w.data[0] + at[0]) =
        *reinterpret_cast<const T*>(w.data[1] + at[1]) * factor(j);
  }
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
  const unsigned blocks = blocks_for(w.size / 4 + 2);
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
  const unsigned blocks = blocks_for(w.size / 4 + 2);
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
