// What the host functions of the matrix products share.  (Lesson 04)
#pragma once

#include "cuda/gemm/problem.h"

namespace needle::NEEDLE_GPU {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

#ifdef __CUDACC__

inline int device_attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, attribute, device);
  return value;
}
inline int multiprocessors() {
  static const int count = device_attribute(cudaDevAttrMultiProcessorCount);
  return count;
}
/// 80 for sm_80, 90 for sm_90, ...
inline int capability() {
  static const int version = device_attribute(cudaDevAttrComputeCapabilityMajor) * 10 +
                             device_attribute(cudaDevAttrComputeCapabilityMinor);
  return version;
}

#else

inline int multiprocessors() { return 4; }  // of the simulator: few, to try the paths for "many"

#endif

}  // namespace needle::NEEDLE_GPU
