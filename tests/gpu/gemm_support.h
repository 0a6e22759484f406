// What the two halves of tests/gpu/gemm.cu share: memory, numbers, kernels by name.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cuda/gemm/gemm.h"

namespace needle::cuda::check {

inline void ok(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  std::printf("FAIL %s: %s\n", what, cudaGetErrorString(e));
  std::exit(1);
}

struct Buffer {
  void* data = nullptr;
  int64_t bytes = 0;
  explicit Buffer(int64_t n) : bytes(n) {
    ok(cudaMalloc(&data, static_cast<size_t>(std::max<int64_t>(n, 256))), "malloc");
  }
  ~Buffer() { cudaFree(data); }
  Buffer(const Buffer&) = delete;
};

/// Fills b with numbers that are nearly normal.
void fill(DType t, Buffer& b, uint64_t seed);

/// Runs a kernel by its name; false if it declines. See gemm.cu for the names.
bool run(const std::string& kernel, const Problem& p);

/// The cuts of sgemm that are not the library's: gemm_variants.cu. False: no such name.
bool run_variant(const std::string& name, const Problem& p);

/// Prints one line for all awkward sizes, forms and types; returns 0 if all are right. `few`: sizes
/// that a slow checking tool can manage.
int check_all(const std::string& kernel, bool few);

/// Prints one line: the median beside cuBLAS. form: nn, nt, tn, tt (a, b; n: rows contiguous).
int time_one(const std::string& kernel, DType type, int64_t m, int64_t n, int64_t k,
             const std::string& form);

}  // namespace needle::cuda::check
