// Sums, products and extremes over any axes.  (Lessons 02 and 04)
//
// The limit is reading x once. Floats are added up as doubles, which memory leaves ample time for.
// Always in the same order: no atomics, so the same bits come out each time.
#include <limits>

#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

constexpr int kLoads = 8;  // under way at once in each thread

/// How elements of type T are joined: totals, their beginning, and one step.
template <Reduce op, class T>
struct Fold {
  static constexpr bool adds = op == Reduce::sum || op == Reduce::prod;
  using Total =
      std::conditional_t<std::is_same_v<T, bool>, int32_t,
                         std::conditional_t<std::is_floating_point_v<T> && adds, double, T>>;

  __device__ static Total first() {
    using Limits = std::numeric_limits<Total>;
    constexpr bool ints = std::is_integral_v<Total>;
    if constexpr (op == Reduce::sum) return 0;
    if constexpr (op == Reduce::prod) return 1;
    if constexpr (op == Reduce::max) return ints ? Limits::min() : -Limits::infinity();
    if constexpr (op == Reduce::min) return ints ? Limits::max() : Limits::infinity();
  }
  __device__ Total operator()(Total a, Total b) const {
    if constexpr (op == Reduce::max) return a != a || a > b ? a : b;
    if constexpr (op == Reduce::min) return a != a || a < b ? a : b;
    if constexpr (std::is_integral_v<Total> && adds) {  // wraps around
      using U = std::make_unsigned_t<Total>;
      return static_cast<Total>(op == Reduce::sum ? U(a) + U(b) : U(a) * U(b));
    } else if constexpr (adds) {
      return op == Reduce::sum ? a + b : a * b;
    }
  }
};

/// The elements that one output joins are cut into `parts` of `length`: few outputs alone would not
/// occupy the GPU. With several parts, partial (parts, outputs) takes their totals.
template <class Total>
struct Plan {
  Walk<2> kept;     // x and out along the axes that are kept
  Walk<1> reduced;  // x along the others
  int64_t length, parts;
  bool packs;  // what is joined can be read 16 bytes at a time, and so can each part
  Total* partial;
};

/// Joins elements begin, begin + step, ... below end of what the reduced axes reach from `x`.
template <class F, class T>
__device__ typename F::Total fold(const Walk<1>& reduced, const char* x, int64_t begin, int64_t end,
                                  int64_t step) {
  using Total = typename F::Total;
  const F join{};
  Total total = F::first();
  const auto read = [](const char* at) { return *reinterpret_cast<const T*>(at); };
  int64_t i = begin;
  if (reduced.ndim <= 1) {
    const int64_t hop = step * reduced.step(0);
    const char* at = x + i * reduced.step(0);
    for (; i + (kLoads - 1) * step < end; i += kLoads * step, at += kLoads * hop) {
      T some[kLoads];
#pragma unroll
      for (int j = 0; j < kLoads; ++j) some[j] = read(at + j * hop);
#pragma unroll
      for (int j = 0; j < kLoads; ++j) total = join(total, static_cast<Total>(some[j]));
    }
    for (; i < end; i += step, at += hop) total = join(total, static_cast<Total>(read(at)));
  } else {
    for (; i < end; i += step) {
      int64_t at[1];
      reduced.locate(i, at);
      total = join(total, static_cast<Total>(read(x + at[0])));
    }
  }
  return total;
}

/// Joins elements begin ... end of compact x: this thread's of those that the threads of a row share.
/// Both are multiples of what a thread reads at a time, and x is aligned to it.
template <class F, class T>
__device__ typename F::Total fold_packs(const char* x, int64_t begin, int64_t end) {
  using Total = typename F::Total;
  constexpr int V = 16 / sizeof(T), kPacks = kLoads / 2;
  const auto* const packs = reinterpret_cast<const Pack<T, V>*>(x);
  const F join{};
  Total total = F::first();
  const auto take = [&](const Pack<T, V>& pack) {
#pragma unroll
    for (int k = 0; k < V; ++k) total = join(total, static_cast<Total>(pack.at[k]));
  };
  const int64_t hop = blockDim.x, last = end / V;
  int64_t i = begin / V + threadIdx.x;
  for (; i + (kPacks - 1) * hop < last; i += kPacks * hop) {
    Pack<T, V> some[kPacks];
#pragma unroll
    for (int j = 0; j < kPacks; ++j) some[j] = packs[i + j * hop];
#pragma unroll
    for (int j = 0; j < kPacks; ++j) take(some[j]);
  }
  for (; i < last; i += hop) {
    const Pack<T, V> one = packs[i];
    take(one);
  }
  return total;
}

template <class T, class Total>
__device__ void put(const Plan<Total>& plan, int64_t output, int64_t part, int64_t to,
                    Total total) {
  if (plan.parts > 1) {
    plan.partial[part * plan.kept.size + output] = total;
  } else {
    *reinterpret_cast<T*>(plan.kept.data[1] + to) = static_cast<T>(total);
  }
}

/// Where neighbours in memory are joined: a row of the block's threads for each output.
template <class F, class T>
__global__ void reduce_rows(const Plan<typename F::Total> plan) {
  const int64_t output = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (output >= plan.kept.size) return;
  int64_t at[2];
  plan.kept.locate(output, at);
  const int64_t begin = blockIdx.y * plan.length;
  const int64_t end = least(begin + plan.length, plan.reduced.size);
  const char* x = plan.kept.data[0] + at[0];
  const auto mine = plan.packs ? fold_packs<F, T>(x, begin, end)
                               : fold<F, T>(plan.reduced, x, begin + threadIdx.x, end, blockDim.x);
  const auto total = across_row(mine, F::first(), F{});
  if (threadIdx.x == 0) put<T>(plan, output, blockIdx.y, at[1], total);
}

constexpr int kColumnThreads = 256;

/// Where neighbours in memory go to different outputs: a thread for each, or where there are few
/// outputs, several, blockDim.y, that share what it joins.
template <class F, class T>
__global__ void reduce_columns(const Plan<typename F::Total> plan) {
  using Total = typename F::Total;
  __shared__ Total of_thread[kColumnThreads];
  const int64_t output = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool inside = output < plan.kept.size;
  int64_t at[2] = {0, 0};
  Total total = F::first();
  if (inside) {
    plan.kept.locate(output, at);
    const int64_t begin = blockIdx.y * plan.length;
    const int64_t end = least(begin + plan.length, plan.reduced.size);
    total =
        fold<F, T>(plan.reduced, plan.kept.data[0] + at[0], begin + threadIdx.y, end, blockDim.y);
  }
  if (blockDim.y > 1) {
    of_thread[threadIdx.y * blockDim.x + threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y > 0) return;
    for (unsigned y = 1; y < blockDim.y; ++y) {
      total = F{}(total, of_thread[y * blockDim.x + threadIdx.x]);
    }
  }
  if (inside) put<T>(plan, output, blockIdx.y, at[1], total);
}

/// Joins the parts of each output: a row of the block's threads for each.
template <class F, class T>
__global__ void reduce_parts(const Plan<typename F::Total> plan) {
  const int64_t output = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (output >= plan.kept.size) return;
  auto total = F::first();
  for (int64_t part = threadIdx.x; part < plan.parts; part += blockDim.x) {
    total = F{}(total, plan.partial[part * plan.kept.size + output]);
  }
  total = across_row(total, F::first(), F{});
  int64_t at[2];
  plan.kept.locate(output, at);
  if (threadIdx.x == 0) *reinterpret_cast<T*>(plan.kept.data[1] + at[1]) = static_cast<T>(total);
}

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/// x with size 1 on the axes that are reduced, or on those that are not.
View restricted(const View& x, const View& out, bool kept) {
  View part = x;
  for (int axis = 0; axis < x.ndim(); ++axis) {
    if ((out.shape[axis] == x.shape[axis]) != kept) part.shape[axis] = 1;
  }
  return part;
}

/// Whether every element of operand k of a walk lies at a multiple of 16 bytes: what is compact there can
/// be read in packs.
template <int N>
bool starts_packs(const Walk<N>& w, int k) {
  bool all = reinterpret_cast<uintptr_t>(w.data[k]) % 16 == 0;
  for (int axis = 0; axis < w.ndim; ++axis) all &= w.stride[k][axis] % 16 == 0;
  return all;
}

/// The threads of a block: x along what lies side by side in memory.
dim3 block_of(bool rows, int64_t outputs, int64_t terms) {
  constexpr int64_t kMany = 1 << 17;  // outputs, of which each thread or warp may have one
  if (!rows) {
    const bool few = outputs < kMany && terms >= 8 * kLoads;
    return few ? dim3(32, kColumnThreads / 32) : dim3(outputs < 128 ? 32 : kColumnThreads, 1);
  }
  if (terms <= 32 * kLoads || (outputs >= kMany / 32 && terms <= 4096)) {
    return dim3(32, static_cast<unsigned>(least(outputs, 8)));
  }
  return dim3(terms > 2048 ? 256 : 128, 1);
}

template <class F, class T>
void reduce_as(const View& x, const View& out) {
  using Total = typename F::Total;
  constexpr int V = 16 / sizeof(T);
  Plan<Total> plan{walk(Order::memory, restricted(x, out, true), out),
                   walk(Order::memory, restricted(x, out, false)),
                   0,
                   1,
                   false,
                   nullptr};
  const int64_t outputs = plan.kept.size, terms = plan.reduced.size;
  const int64_t inner = magnitude(plan.reduced.step(0)), outer = magnitude(plan.kept.step(0));
  const bool rows = terms >= 32 && (outputs == 1 || inner <= outer || outer == 0);
  const dim3 block = block_of(rows, outputs, terms);
  const int64_t wide = ceil_div(outputs, rows ? block.y : block.x);
  // So many occupy the largest GPU several times. Of few rows more: the last blocks to begin keep it
  // waiting for a shorter time, and their totals are few.
  const int64_t blocks = rows && wide <= 64 ? 4096 : 2048;
  // A part is worth the trouble if each thread has a few rounds of loads to do.
  const int64_t least_length = int64_t{rows ? block.x : block.y} * kLoads * 2;
  plan.length = terms;
  if (wide < blocks && terms > least_length) {
    plan.length = ceil_div(terms, least(ceil_div(blocks, wide), ceil_div(terms, least_length)));
    plan.length = ceil_div(plan.length, V) * V;
    plan.parts = ceil_div(terms, plan.length);
  }
  const bool compact = plan.reduced.ndim == 1 && plan.reduced.step(0) == sizeof(T);
  plan.packs = rows && compact && terms % V == 0 && starts_packs(plan.kept, 0);
  const Workspace partial(plan.parts > 1 ? sizeof(Total) * plan.parts * outputs : 0);
  plan.partial = partial.as<Total>();
  const dim3 grid(static_cast<unsigned>(wide), static_cast<unsigned>(plan.parts));
  if (rows) {
    NEEDLE_LAUNCH((reduce_rows<F, T>), grid, block, 0, plan);
  } else {
    NEEDLE_LAUNCH((reduce_columns<F, T>), grid, block, 0, plan);
  }
  if (plan.parts > 1) {
    const dim3 joint = plan.parts > 256 ? dim3(256, 1) : dim3(32, 8);
    NEEDLE_LAUNCH((reduce_parts<F, T>), static_cast<unsigned>(ceil_div(outputs, joint.y)), joint, 0,
                  plan);
  }
}

}  // namespace

void reduce(Reduce op, const View& x, const View& out) {
  if (out.size() == 0) return;
  visit_op<kReduces>(op, [&](auto constant) {
    constexpr Reduce known = decltype(constant)::value;
    constexpr bool extreme = known == Reduce::max || known == Reduce::min;
    visit_arithmetic(x.dtype, [&]<class T>(Tag<T>) {
      if constexpr (extreme || sizeof(T) > 1) reduce_as<Fold<known, T>, T>(x, out);
    });
  });
}

}  // namespace needle::NEEDLE_GPU
