// A product whose k is cut into slices: each is summed up by blocks of its own, and the partial
// sums are added up by a second kernel.  (Lesson 04)
//
// A small C has few tiles, and a GPU with 132 multiprocessors is idle if only 20 of them have one.
// The price is memory traffic: each slice writes and reads (m, n) numbers. The order of the addition
// is fixed, so the result is the same every time; with atomics it would not be.
#pragma once

#include "cuda/device.h"
#include "cuda/gemm/problem.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {

inline constexpr int64_t kMostSlices = 32;

/// k in `count` slices of `depth`; the last may be shorter, but none is empty.
struct Slices {
  int64_t count, depth;
};
/// About `wanted` slices, or fewer, that begin at multiples of `unit`.
inline Slices even_slices(int64_t k, int64_t wanted, int64_t unit) {
  const int64_t depth = ceil_div(ceil_div(k, wanted > 1 ? wanted : 1), unit) * unit;
  return {ceil_div(k, depth), depth};
}

/// Into how many slices to cut k, if C has so many tiles, the GPU so many places for them, and less
/// than `least_k` of k is not worth a block.
inline int64_t choose_slices(int64_t k, int64_t tiles, int64_t places, int64_t least_k) {
  int64_t slices = places / tiles;
  if (slices > kMostSlices) slices = kMostSlices;
  if (slices > k / least_k) slices = k / least_k;
  return slices > 1 ? slices : 1;
}

/// Memory for the partial sums, in float32.
inline int64_t partial_bytes(const Problem& p, int64_t slices) {
  return slices * p.batch * p.m * p.n * 4;
}

/// About how many cycles a GPU needs to write the partial sums and add them up: the second launch,
/// and the bytes. 0 for one slice.
inline double slices_cost(const Problem& p, int64_t slices) {
  constexpr double launch = 5000, bytes_a_cycle = 2500;
  if (slices == 1) return 0;
  return launch + 2.0 * static_cast<double>(partial_bytes(p, slices)) / bytes_a_cycle;
}

/// c = sum over slices of partial (slices, batch m, n), in order of the slices. A block has a row,
/// so that nobody has to divide.
template <class Out>
__global__ void add_slices(const float* partial, int slices, int64_t batch, int64_t m, int64_t n,
                           Matrices<Out*> c) {
  const int64_t row = blockIdx.x, size = batch * m * n;
  const float* from = partial + row * n;
  Out* to = c.data + row / m * c.batch + row % m * c.row;
  for (int64_t j = blockIdx.y * blockDim.x + threadIdx.x; j < n; j += gridDim.y * blockDim.x) {
    float sum = 0;
#pragma unroll 4
    for (int s = 0; s < slices; ++s) sum += from[s * size + j];
    to[j * c.column] = static_cast<Out>(sum);
  }
}

/// Adds up `partial` and writes p.c.
inline void add_partial_sums(const Problem& p, const float* partial, int64_t slices) {
  // A row on as many blocks as it has 256 numbers, or 8: a thread adds few, that others wait little.
  const int64_t pieces = ceil_div(p.n, 256);
  const dim3 grid(static_cast<unsigned>(p.batch * p.m),
                  static_cast<unsigned>(pieces < 8 ? pieces : 8));
  const auto add = [&]<class Out>(Tag<Out>) {
    const Matrices<Out*> c = {static_cast<Out*>(p.c.data), p.c.row, p.c.column, p.c.batch};
    NEEDLE_LAUNCH((add_slices<Out>), grid, 256, 0, partial, static_cast<int>(slices), p.batch, p.m,
                  p.n, c);
  };
  if (p.out == DType::float32) return add(Tag<float>{});
  if (p.out == DType::float16) return add(Tag<float16>{});
  add(Tag<bfloat16>{});
}

/// Calls run(target), which computes `slices` partial products of p into target.c: that of p, if
/// there is only one; else memory for (slices, batch, m, n) float32, and what is in it is added up.
template <class Run>
void in_slices(const Problem& p, int64_t slices, const Run& run) {
  if (slices == 1) return run(p);
  const Workspace memory(static_cast<size_t>(partial_bytes(p, slices)));
  Problem partial = p;
  partial.out = DType::float32;
  partial.c = {memory.as<float>(), p.n, 1, p.m * p.n};
  run(partial);
  add_partial_sums(p, memory.as<float>(), slices);
}

}  // namespace needle::NEEDLE_GPU
