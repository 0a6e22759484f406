// A product whose k is cut into slices: each is summed up by blocks of its own, and the partial sums
// are added up by a second kernel.  (Lesson 04)
//
// A small C has few tiles, and a GPU with 132 multiprocessors is idle if only 20 of them have one.
// The price is memory traffic: each slice writes and reads (m, n) numbers. The order of the addition
// is fixed, so the result is the same every time; with atomics it would not be.
#pragma once

#include "cuda/gemm/problem.h"

namespace needle::NEEDLE_GPU {

inline DType sum_type(DType in) { return in == DType::float64 ? DType::float64 : DType::float32; }

inline constexpr int64_t kMostSlices = 32;

/// Scratch memory for `slices` of them.
inline int64_t partial_bytes(const Problem& p, int64_t slices) {
  return slices * p.batch * p.m * p.n * size_of(sum_type(p.in));
}

/// Into how many slices to cut k, if C has so many tiles, the GPU so many places for them, and less
/// than `least_k` of k is not worth a block. 1 if there is too little scratch memory.
inline int64_t choose_slices(const Problem& p, int64_t tiles, int64_t places, int64_t least_k) {
  int64_t slices = places / (tiles > 0 ? tiles : 1);
  if (slices > kMostSlices) slices = kMostSlices;
  if (slices > p.k / least_k) slices = p.k / least_k;
  while (slices > 1 && partial_bytes(p, slices) > p.workspace_bytes) --slices;
  return slices > 1 ? slices : 1;
}

/// About how many cycles a GPU needs to write the partial sums and add them up: the second launch,
/// and the bytes. 0 for one slice.
inline double slices_cost(const Problem& p, int64_t slices) {
  constexpr double launch = 5000, bytes_a_cycle = 2500;
  return slices == 1 ? 0 : launch + 2.0 * static_cast<double>(partial_bytes(p, slices)) / bytes_a_cycle;
}

/// The problem whose c are the partial sums: (slices, batch, m, n) without gaps in p.workspace.
inline Problem partial_sums(const Problem& p) {
  Problem partial = p;
  partial.out = sum_type(p.in);
  partial.c = {p.workspace, p.n, 1, p.m * p.n};
  return partial;
}

/// c = sum over slices of partial (slices, batch m, n), in order of the slices. A block has a row, so
/// that nobody has to divide.
template <class Sum, class Out>
__global__ void add_slices(const Sum* partial, int slices, int64_t batch, int64_t m, int64_t n,
                           Matrices<Out*> c) {
  const int64_t row = blockIdx.x, size = batch * m * n;
  const Sum* from = partial + row * n;
  Out* to = c.data + row / m * c.batch + row % m * c.row;
  for (int64_t j = blockIdx.y * blockDim.x + threadIdx.x; j < n; j += gridDim.y * blockDim.x) {
    Sum sum = 0;
#pragma unroll 4
    for (int s = 0; s < slices; ++s) sum += from[s * size + j];
    to[j * c.column] = static_cast<Out>(sum);
  }
}

/// Adds up what is in p.workspace and writes p.c.
inline void add_partial_sums(const Problem& p, int slices) {
  // A row on as many blocks as it has 256 numbers, or 8: a thread adds few, that others wait little.
  const int64_t pieces = (p.n + 255) / 256;
  const dim3 grid(static_cast<unsigned>(p.batch * p.m), static_cast<unsigned>(pieces < 8 ? pieces : 8));
  const auto add = [&](auto sum, auto out) {
    using Sum = typename decltype(sum)::type;
    using Out = typename decltype(out)::type;
    const Matrices<Out*> c = {static_cast<Out*>(p.c.data), p.c.row, p.c.column, p.c.batch};
    const auto* partial = static_cast<const Sum*>(p.workspace);
    NEEDLE_LAUNCH((add_slices<Sum, Out>), grid, 256, 0, partial, slices, p.batch, p.m, p.n, c);
  };
  if (p.in == DType::float64) return add(Tag<double>{}, Tag<double>{});
  if (p.out == DType::float32) return add(Tag<float>{}, Tag<float>{});
  if (p.out == DType::float16) return add(Tag<float>{}, Tag<float16>{});
  add(Tag<float>{}, Tag<bfloat16>{});
}

}  // namespace needle::NEEDLE_GPU
