// Products by the kernels of cuda/gemm that need no tensor core. All pointers are device memory.
#pragma once

#include <cstdint>

namespace needle::sim::gemm {

/// As needle's Matrices: element (i, j) of number z is at data + z batch + i row + j column.
struct Matrix {
  float* data;
  int64_t row, column, batch;
};

struct Product {
  int64_t m, n, k, batch;
  Matrix a, b, c;
};

enum class Kernel { choose, large, small, thin };

/// False if the kernel declines. slices: parts of k that are summed up apart; 0 lets it choose.
bool multiply(Kernel kernel, const Product& p, int slices = 0);

/// Parts of k, and what is in each: `wanted` of them, that begin at multiples of `unit`.
struct Cut {
  int64_t count, depth;
};
Cut even_slices(int64_t k, int64_t wanted, int64_t unit);

/// What the kernel of wgmma_kernel.cuh would do with a product (m, k) x (k, n), and so many of them.
struct Plan {
  int columns, cluster, height, slices;
};
Plan wgmma_plan(int64_t m, int64_t n, int64_t k, int64_t batch, Plan wish);

}  // namespace needle::sim::gemm
