// out = f(in...), element by element, for operands of any strides.  (Lesson 04)
//
// The limit is memory: every operand crosses it once. Threads with neighbouring numbers take
// neighbouring elements, 16 bytes each where all operands lie so that they can, one element
// elsewhere.
#pragma once

#include <type_traits>
#include <utility>

#include "cuda/kernels/walk.cuh"

namespace needle::NEEDLE_GPU {

template <class T, int V>
__device__ Pack<T, V> load_pack(const char* p, int64_t step) {
  if (V == 1 || step != 0) return *reinterpret_cast<const Pack<T, V>*>(p);
  Pack<T, V> all;
  const T x = *reinterpret_cast<const T*>(p);
  for (int j = 0; j < V; ++j) all.at[j] = x;
  return all;
}

template <int V, class Out, class... In, class F, int... K>
__device__ void map_pack(const Walk<1 + sizeof...(In)>& w, const F& f,
                         const int64_t (&offset)[1 + sizeof...(In)],
                         std::integer_sequence<int, K...>) {
  Pack<Out, V> out;
  // Every load is under way before the first result is asked for.
  const auto apply = [&](const Pack<In, V>&... in) {
    for (int j = 0; j < V; ++j) out.at[j] = f(in.at[j]...);
  };
  apply(load_pack<In, V>(w.data[K + 1] + offset[K + 1], w.step(K + 1))...);
  *reinterpret_cast<Pack<Out, V>*>(w.data[0] + offset[0]) = out;
}

/// V elements a thread.
template <int V, class F, class Out, class... In>
__global__ void map_kernel(const Walk<1 + sizeof...(In)> w, const F f) {
  constexpr int N = 1 + sizeof...(In);
  constexpr auto inputs = std::make_integer_sequence<int, N - 1>();
  int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  int64_t offset[N];
  if (V > 1 && i + V > w.size) {  // the last ones of a single axis
    for (; i < w.size; ++i) {
      w.locate(i, offset);
      map_pack<1, Out, In...>(w, f, offset, inputs);
    }
    return;
  }
  if (i >= w.size) return;
  w.locate(i, offset);
  map_pack<V, Out, In...>(w, f, offset, inputs);
}

/// Operand 0 of the walk is the output.
template <class Out, class... In, class F>
void map(const Walk<1 + sizeof...(In)>& w, const F& f) {
  constexpr int kThreads = 256;
  constexpr int N = 1 + sizeof...(In);
  constexpr int item[N] = {sizeof(Out), sizeof(In)...};
  constexpr int widest = [&] {
    int most = 1;
    for (int bytes : item) most = bytes > most ? bytes : most;
    return most;
  }();
  constexpr int V = 16 / widest;
  if (w.size == 0) return;
  if (w.packs(V, item)) {
    const auto blocks = static_cast<unsigned>(ceil_div(ceil_div(w.size, V), kThreads));
    NEEDLE_LAUNCH((map_kernel<V, F, Out, In...>), blocks, kThreads, 0, w, f);
  } else {
    const auto blocks = static_cast<unsigned>(ceil_div(w.size, kThreads));
    NEEDLE_LAUNCH((map_kernel<1, F, Out, In...>), blocks, kThreads, 0, w, f);
  }
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
