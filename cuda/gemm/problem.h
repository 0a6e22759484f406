// A matrix product as the GPU's kernels see it: plain numbers.  (Lesson 04)
#pragma once

#include "cuda/launch.h"
#include "needle/array/dtype.h"

namespace needle::NEEDLE_GPU {

/// Matrices of one size: element (i, j) of number z lies at data + z batch + i row + j column,
/// counted in elements. Of an input, each may be 0 or negative.
template <class Pointer>
struct Matrices {
  Pointer data;
  int64_t row, column, batch;

  Matrices transposed() const { return {data, column, row, batch}; }
};

/// c[z] (m, n) = a[z] (m, k) x b[z] (k, n) for z < batch.
/// `out` is `in`, or float32 if `in` has two bytes; those add up in float32 and round once.
struct Problem {
  DType in, out;  // floating
  int64_t m, n, k, batch;
  Matrices<const void*> a, b;
  Matrices<void*> c;

  /// The same product seen from the side: c^T = b^T a^T.
  Problem transposed() const {
    return {in, out, n, m, k, batch, b.transposed(), a.transposed(), c.transposed()};
  }
};

/// The axis along which an operand's elements are neighbours: k, the one that is summed over, or
/// the other one (m of a, n of b).
enum class Along : uint8_t { k, side };

/// The tile of C with a given number, so that tiles computed at the same time share their operands:
/// groups of `height` tile rows are walked through column by column. What is being read then lies
/// in a near-square of C, whose operands fit in the L2 cache.
struct Tile {
  int row, column;
};
__host__ __device__ inline Tile grouped(int index, int rows, int columns, int height) {
  const int group = index / (height * columns);
  const int first = group * height;
  const int here = rows - first < height ? rows - first : height;  // the last may be lower
  const int i = index - first * columns;
  return {first + i % here, i / here};
}

}  // namespace needle::NEEDLE_GPU
