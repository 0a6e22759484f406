// out = f(in...), element by element, for operands of any strides.  (Lesson 04)
//
// The limit is memory: every operand crosses it once. Threads with neighbouring numbers take
// neighbouring elements, 16 bytes each where all operands lie so that they can, one element
// elsewhere.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cuda/kernels/walk.cuh"

namespace needle::NEEDLE_GPU {

/// a / b. For floats in two instructions, where `/` takes ten or a call: at most 2 units off, and 0 if b
/// is above 2^126.
template <class T>
__device__ T quotient(T a, T b) {
  if constexpr (std::is_same_v<T, float>) {
    return __fdividef(a, b);
  } else {
    return a / b;
  }
}

/// 1 / sqrt(x). For floats in two instructions as well, at most 2 units off.
template <class T>
__device__ T inverse_root(T x) {
  if constexpr (std::is_same_v<T, float>) {
    return rsqrtf(x);
  } else {
    return 1 / std::sqrt(x);
  }
}

/// 2^x by the unit for special functions: 2 units off; 0 where the result is below 2^-126.
__device__ inline float exp2_approximately(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::exp2(x);
#endif
}

/// V elements of an operand, or its one element V times.
template <class T, int V>
__device__ Pack<T, V> load_pack(const char* p, int64_t step) {
  if (V == 1 || step != 0) return *reinterpret_cast<const Pack<T, V>*>(p);
  Pack<T, V> all;
  const T x = *reinterpret_cast<const T*>(p);
  for (int j = 0; j < V; ++j) all.at[j] = x;
  return all;
}

/// The packs of several operands.
template <int V, class... T>
struct Packs {};
template <int V, class T, class... Rest>
struct Packs<V, T, Rest...> {
  Pack<T, V> first;
  Packs<V, Rest...> rest;
};

template <int k, int V, int N>
__device__ void load_packs(Packs<V>&, const Walk<N>&, const int64_t (&)[N]) {}
template <int k, int V, class T, class... Rest, int N>
__device__ void load_packs(Packs<V, T, Rest...>& in, const Walk<N>& w, const int64_t (&offset)[N]) {
  in.first = load_pack<T, V>(w.data[k] + offset[k], w.step(k));
  load_packs<k + 1>(in.rest, w, offset);
}

/// f of element j of each pack.
template <int V, class F, class... T>
__device__ auto apply(const F& f, int, const Packs<V>&, T... x) {
  return f(x...);
}
template <int V, class F, class First, class... Rest, class... T>
__device__ auto apply(const F& f, int j, const Packs<V, First, Rest...>& in, T... x) {
  return apply(f, j, in.rest, x..., in.first.at[j]);
}

/// out = f of each element of the packs.
template <class Out, int V, class F, class... In, int N>
__device__ void store_pack(const Walk<N>& w, const int64_t (&offset)[N], const F& f,
                           const Packs<V, In...>& in) {
  Pack<Out, V> out;
  for (int j = 0; j < V; ++j) out.at[j] = apply(f, j, in);
  *reinterpret_cast<Pack<Out, V>*>(w.data[0] + offset[0]) = out;
}

inline constexpr int kMapThreads = 256;

/// A thread's share is kPacks packs of V elements, as far apart as the block has threads. All are
/// asked for before the first is used: memory takes long to answer, and answers many at once. (So no
/// condition stands between them; nvcc would convert one before it asks for the next.) With kLine, all
/// operands have one axis: nothing is divided, and a thread needs few registers.
template <int V, int kPacks, bool kLine, class F, class Out, class... In>
__global__ void map_kernel(const Walk<1 + sizeof...(In)> w, const F f) {
  constexpr int N = 1 + sizeof...(In);
  const auto locate = [&w](int64_t i, int64_t(&offset)[N]) {
    if constexpr (kLine) {
      for (int k = 0; k < N; ++k) offset[k] = i * w.stride[k][0];
    } else {
      w.locate(i, offset);
    }
  };
  const int64_t first = (int64_t{blockIdx.x} * blockDim.x * kPacks + threadIdx.x) * V;
  const int64_t hop = int64_t{blockDim.x} * V;
  if (first + (kPacks - 1) * hop + V <= w.size) {
    int64_t offset[kPacks][N];
    Packs<V, In...> in[kPacks];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) locate(first + p * hop, offset[p]);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) load_packs<1>(in[p], w, offset[p]);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) store_pack<Out>(w, offset[p], f, in[p]);
    return;
  }
#pragma unroll 1
  for (int64_t i = first; i < w.size; i += hop) {  // what is left of a share at the end
    int64_t offset[N];
    if (i + V <= w.size) {
      Packs<V, In...> in;
      locate(i, offset);
      load_packs<1>(in, w, offset);
      store_pack<Out>(w, offset, f, in);
    } else if constexpr (kLine) {
      for (int64_t j = i; j < w.size; ++j) {
        Packs<1, In...> one;
        locate(j, offset);
        load_packs<1>(one, w, offset);
        store_pack<Out>(w, offset, f, one);
      }
    }
  }
}

/// The result of map where several neighbours can move as one in every operand, or where there is none;
/// elsewhere false, and nothing is done.
template <class Out, class... In, class F>
bool map_packed(const Walk<1 + sizeof...(In)>& w, const F& f) {
  constexpr int N = 1 + sizeof...(In);
  constexpr int item[N] = {sizeof(Out), sizeof(In)...};
  constexpr int widest = [&] {
    int most = 1;
    for (int bytes : item) most = bytes > most ? bytes : most;
    return most;
  }();
  // Of 8 bytes a thread takes one at a time: a second kernel for two would gain little, unless the
  // others are narrower.
  constexpr bool mixed = N == 2 && item[0] != item[N - 1];
  constexpr int V = widest == 8 && !mixed ? 1 : 16 / widest;
  if (w.size == 0) return true;
  if constexpr (V > 1) {
    if (!w.packs(V, item)) return false;
    const auto launch = [&]<int kPacks, bool kLine>(std::integral_constant<int, kPacks>,
                                                    std::bool_constant<kLine>) {
      const auto blocks =
          static_cast<unsigned>(ceil_div(w.size, int64_t{kMapThreads} * kPacks * V));
      NEEDLE_LAUNCH((map_kernel<V, kPacks, kLine, F, Out, In...>), blocks, kMapThreads, 0, w, f);
      return true;
    };
    // Memory is busy when enough is on its way: 4.8 TB/s for the 600 ns until it answers are 22 KB for
    // each of an H200's 132 multiprocessors, with nothing to spare. A thread asks for 64 bytes at once,
    // and 1024 threads have room. What is broadcast comes from a cache, and does not count.
    constexpr int kAsked = N == 1 ? 32 : V * (0 + ... + static_cast<int>(sizeof(In)));
    constexpr int kPacks = std::clamp(64 / kAsked, 2, 8), kWalked = N == 2 ? 4 : 2;
    if (w.ndim == 1) return launch(std::integral_constant<int, kPacks>{}, std::true_type{});
    if constexpr (N == 3) {
      if (w.broadcasts()) return launch(std::integral_constant<int, 4>{}, std::false_type{});
    }
    return launch(std::integral_constant<int, kWalked>{}, std::false_type{});
  }
  return false;
}

/// Operand 0 of the walk is the output.
template <class Out, class... In, class F>
void map(const Walk<1 + sizeof...(In)>& w, const F& f) {
  if (map_packed<Out, In...>(w, f)) return;
  const auto blocks = static_cast<unsigned>(ceil_div(w.size, int64_t{kMapThreads} * 2));
  NEEDLE_LAUNCH((map_kernel<1, 2, false, F, Out, In...>), blocks, kMapThreads, 0, w, f);
}

/// f(std::integral_constant<E, op>{}) for the op, one of `count`, that is known at run time.
template <int count, class E, class F>
void visit_op(E op, F&& f) {
  const auto each = [&]<int... I>(std::integer_sequence<int, I...>) {
    ((static_cast<int>(op) == I ? f(std::integral_constant<E, static_cast<E>(I)>{}) : void()), ...);
  };
  each(std::make_integer_sequence<int, count>());
}

/// f(Tag<T>{}) for the floating T that `t` stands for.
template <class F>
void visit_floating(DType t, F&& f) {
  if (t == DType::float64) {
    f(Tag<double>{});
  } else {
    f(Tag<float>{});
  }
}

}  // namespace needle::NEEDLE_GPU
