// The first index of the largest or smallest element along an axis.  (Lesson 04)
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

/// An element and its index. Index -1: none yet.
template <class T>
struct Found {
  T value;
  int64_t index;
};

template <bool largest, class T>
struct Better {
  /// NaN is more extreme than every number, but not than NaN; of equal ones the first counts.
  __device__ Found<T> operator()(Found<T> a, Found<T> b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (a_nan || a.value == b.value) return a.index < b.index ? a : b;
    return (a.value > b.value) == largest ? a : b;
  }
};

/// The best of elements begin, begin + hop, ... below n. Several are under way at once.
template <class T, bool largest>
__device__ Found<T> search(const T* x, int64_t begin, int64_t hop, int64_t n, int64_t step) {
  constexpr int kLoads = 8;
  const Better<largest, T> better;
  Found<T> best{T(0), -1};
  int64_t i = begin;
  for (; i + (kLoads - 1) * hop < n; i += kLoads * hop) {
    T some[kLoads];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) some[j] = x[(i + j * hop) * step];
#pragma unroll
    for (int j = 0; j < kLoads; ++j) best = better(best, {some[j], i + j * hop});
  }
  for (; i < n; i += hop) best = better(best, {x[i * step], i});
  return best;
}

/// A warp for each output: neighbours in memory are compared. Operands: x, out.
template <class T, bool largest>
__global__ void arg_rows_kernel(const Walk<2> kept, int64_t n, int64_t step) {
  const int64_t output = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (output >= kept.size) return;
  int64_t at[2];
  kept.locate(output, at);
  const T* x = reinterpret_cast<const T*>(kept.data[0] + at[0]);
  // BEGIN SOLUTION hw2.arg_rows
  const Better<largest, T> better;
  Found<T> best = search<T, largest>(x, threadIdx.x, 32, n, step);
  for (int distance = 16; distance > 0; distance /= 2) {
    using Wide = std::conditional_t<std::is_same_v<T, bool>, int, T>;  // no shuffle takes a bool
    const Wide value = __shfl_xor_sync(kAllLanes, static_cast<Wide>(best.value), distance);
    const int64_t index = __shfl_xor_sync(kAllLanes, best.index, distance);
    best = better(best, {static_cast<T>(value), index});
  }
  if (threadIdx.x == 0) *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
  // END SOLUTION
}

/// A thread for each output: neighbours in memory go to different outputs. Operands: x, out.
template <class T, bool largest>
__global__ void arg_columns_kernel(const Walk<2> kept, int64_t n, int64_t step) {
  const int64_t output = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (output >= kept.size) return;
  int64_t at[2];
  kept.locate(output, at);
  const T* x = reinterpret_cast<const T*>(kept.data[0] + at[0]);
  const Found<T> best = search<T, largest>(x, 0, 1, n, step);
  *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
}

template <class T, bool largest>
void arg_reduce_as(const Walk<2>& kept, int64_t n, int64_t step) {
  const int64_t bytes = step * static_cast<int64_t>(sizeof(T)), other = kept.step(0);
  if (n >= 32 && (bytes * bytes <= other * other || kept.size < 1024)) {
    const auto warps = static_cast<unsigned>(least(kept.size, 8));
    const auto blocks = static_cast<unsigned>(ceil_div(kept.size, warps));
    NEEDLE_LAUNCH((arg_rows_kernel<T, largest>), blocks, dim3(32, warps), 0, kept, n, step);
  } else {
    const auto blocks = static_cast<unsigned>(ceil_div(kept.size, 128));
    NEEDLE_LAUNCH((arg_columns_kernel<T, largest>), blocks, 128, 0, kept, n, step);
  }
}

}  // namespace

void arg_reduce(ArgReduce op, const View& x, int axis, const View& out) {
  if (out.size() == 0) return;
  View first = x;  // the axis at index 0
  first.shape[axis] = 1;
  const auto kept = walk(Order::memory, first, out);
  visit_arithmetic(x.dtype, [&]<class T>(Tag<T>) {
    if (op == ArgReduce::argmax) {
      arg_reduce_as<T, true>(kept, x.shape[axis], x.strides[axis]);
    } else {
      arg_reduce_as<T, false>(kept, x.shape[axis], x.strides[axis]);
    }
  });
}

}  // namespace needle::NEEDLE_GPU
