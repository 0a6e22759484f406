// Matrix products on the GPU, for sizes and types that have a kernel of their own.  (Lesson 04)
#pragma once

#include "cuda/gemm/problem.h"
#include "cuda/gemm/wgmma_sm90.h"

namespace needle::NEEDLE_GPU {

/// Computes p on the current device, asynchronously, with the fastest kernel that suits it. False,
/// and nothing done, if none does: float64, and two-byte numbers that do not lie in pieces of 16
/// bytes. RuntimeError if a launch fails.
bool multiply(const Problem& p);

// The kernels that it chooses from. Each computes p and returns true, or declines.

/// Few rows (m <= 16), or few columns: limited by reading the other matrix once. thin.cuh.
bool multiply_thin(const Problem& p);
/// Tensor cores of sm_80 and later. slices = 0: choose. mma.cuh.
bool multiply_mma(const Problem& p, int slices = 0);
/// float32 of any strides. slices = 0: choose. sgemm.cuh.
enum class SgemmCut : uint8_t { choose, large, small };
bool multiply_float(const Problem& p, SgemmCut cut = SgemmCut::choose, int slices = 0);

}  // namespace needle::NEEDLE_GPU
