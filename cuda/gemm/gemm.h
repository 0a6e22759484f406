// Matrix products on the GPU: the one function that the table of kernels calls.  (Lesson 04)
#pragma once

#include "cuda/gemm/problem.h"
#include "cuda/gemm/wgmma_sm90.h"

namespace needle::NEEDLE_GPU {

/// Computes p on the current device, asynchronously, with the fastest kernel that suits it.
/// Any sizes and strides; m, n, k below 2^30. RuntimeError if a launch fails.
void multiply(const Problem& p);

/// How much scratch memory multiply(p) would like to have in p.workspace; often 0.
int64_t workspace_bytes(const Problem& p);

// The kernels that it chooses from. Each computes p and returns true, or declines.

/// Few rows (m <= 16), or few columns: limited by reading the other matrix once. thin.cuh.
bool multiply_thin(const Problem& p);
/// Tensor cores of sm_80 and later. slices = 0: choose. mma.cuh.
bool multiply_mma(const Problem& p, int slices = 0);
/// Ordinary arithmetic: takes everything. sgemm.cuh.
enum class SimtCut : uint8_t { choose, large, wide, small };
void multiply_simt(const Problem& p, SimtCut cut = SimtCut::choose, int slices = 0);

}  // namespace needle::NEEDLE_GPU
