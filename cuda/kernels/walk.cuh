// Walking over strided operands, one thread an element or a few side by side.  (Lesson 04)
#pragma once

#include "cuda/device.h"
#include "needle/backend/kernels.h"

namespace needle::NEEDLE_GPU {

/// V elements that are read or written as one. At most 16 bytes: the widest access of a thread.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T at[V];
};

__device__ __host__ inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// a = quotient * b + remainder. Divisions of 64 bits take four times as long as those of 32.
__device__ inline void divide(int64_t a, int64_t b, int64_t& quotient, int64_t& remainder) {
  if (((a | b) >> 32) == 0) {
    const uint32_t q = static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
    quotient = q;
    remainder = static_cast<uint32_t>(a) - q * static_cast<uint32_t>(b);
  } else {
    quotient = a / b;
    remainder = a - quotient * b;
  }
}

/// Division of numbers below 2^31 by one that is known before the launch: a product and a shift, a
/// fifth of the instructions. Granlund & Montgomery, "Division by invariant integers using
/// multiplication", PLDI 1994.
struct Divisor {
  uint32_t factor = 1, shift = 0;

  Divisor() = default;
  explicit Divisor(uint32_t d) {
    while ((uint64_t{1} << shift) < d) ++shift;
    factor = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
  }
  __device__ uint32_t quotient(uint32_t n) const {
    return static_cast<uint32_t>((uint64_t{n} * factor >> 32) + n) >> shift;
  }
};

/// In which order elements are counted: row-major, or so that operand 0 is walked as it lies.
enum class Order { row_major, memory };

/// N operands of one shape, with as few axes as possible. Strides in bytes: dtypes may differ.
template <int N>
struct Walk {
  int ndim = 0;
  int64_t size = 1;
  int64_t shape[kMaxDims] = {};
  int64_t stride[N][kMaxDims] = {};
  char* data[N] = {};
  bool small = false;  // fewer than 2^31 elements: `divisor` divides by the shape
  Divisor divisor[kMaxDims];

  Walk(const View* const (&operands)[N], Order order) {
    const View& first = *operands[0];
    for (int k = 0; k < N; ++k) data[k] = static_cast<char*>(operands[k]->data);
    for (int axis = 0; axis < first.ndim(); ++axis) {
      size *= first.shape[axis];
      if (first.shape[axis] == 1) continue;
      // Insertion sort by operand 0's stride, largest first.
      int at = ndim++;
      const int64_t key = magnitude(first.strides[axis] * size_of(first.dtype));
      for (; order == Order::memory && at > 0 && magnitude(stride[0][at - 1]) < key; --at) {
        shape[at] = shape[at - 1];
        for (int k = 0; k < N; ++k) stride[k][at] = stride[k][at - 1];
      }
      shape[at] = first.shape[axis];
      for (int k = 0; k < N; ++k) {
        stride[k][at] = operands[k]->strides[axis] * size_of(operands[k]->dtype);
      }
    }
    join();
    small = size < int64_t{1} << 31;
    for (int axis = 0; small && size > 0 && axis < ndim; ++axis) {
      divisor[axis] = Divisor(static_cast<uint32_t>(shape[axis]));
    }
  }

  /// Where element i of every operand lies, in bytes from its data.
  __device__ void locate(int64_t i, int64_t (&offset)[N]) const {
    for (int k = 0; k < N; ++k) offset[k] = 0;
#pragma unroll 1  // unrolled, it took up to 118 registers: few threads had room on an SM
    for (int axis = ndim - 1; axis > 0; --axis) {
      int64_t rest, index;
      if (small) {
        rest = divisor[axis].quotient(static_cast<uint32_t>(i));
        index = i - rest * shape[axis];
      } else {
        divide(i, shape[axis], rest, index);
      }
      for (int k = 0; k < N; ++k) offset[k] += index * stride[k][axis];
      i = rest;
    }
    for (int k = 0; k < N; ++k) offset[k] += i * stride[k][0];
  }

  /// The stride of the last axis in operand k.
  __device__ __host__ int64_t step(int k) const { return ndim == 0 ? 0 : stride[k][ndim - 1]; }

  /// Whether an operand gives one element to several places.
  bool broadcasts() const {
    bool found = false;
    for (int k = 0; k < N; ++k) {
      for (int axis = 0; axis < ndim; ++axis) found |= stride[k][axis] == 0;
    }
    return found;
  }

  /// Whether `width` neighbours on the last axis can move as one in every operand, whose elements
  /// have `item[k]` bytes. An operand with stride 0 gives all of them its one element.
  bool packs(int width, const int (&item)[N]) const {
    if (ndim == 0 || (ndim > 1 && shape[ndim - 1] % width != 0)) return false;
    for (int k = 0; k < N; ++k) {
      if (step(k) == 0) continue;
      const int64_t bytes = int64_t{item[k]} * width;
      bool fits = step(k) == item[k] && reinterpret_cast<uintptr_t>(data[k]) % bytes == 0;
      for (int axis = 0; axis + 1 < ndim; ++axis) fits &= stride[k][axis] % bytes == 0;
      if (!fits) return false;
    }
    return true;
  }

 private:
  static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

  /// Two neighbouring axes are one if, in every operand, stepping past the end of the inner is a
  /// step of the outer.
  void join() {
    int kept = 0;
    for (int axis = 1; axis < ndim; ++axis) {
      bool joins = true;
      for (int k = 0; k < N; ++k) joins &= stride[k][kept] == stride[k][axis] * shape[axis];
      if (joins) {
        shape[kept] *= shape[axis];
      } else {
        shape[++kept] = shape[axis];
      }
      for (int k = 0; k < N; ++k) stride[k][kept] = stride[k][axis];
    }
    if (ndim > 0) ndim = kept + 1;
  }
};

template <class... Views>
Walk<sizeof...(Views)> walk(Order order, const Views&... views) {
  const View* const operands[] = {&views...};
  return Walk<sizeof...(Views)>(operands, order);
}

}  // namespace needle::NEEDLE_GPU
