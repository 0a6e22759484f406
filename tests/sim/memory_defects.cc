// Kernels that access what they should not.
#include "cuda/launch.h"
#include "defects.h"
#include "memory.h"

namespace needle::sim {
namespace {

__global__ void no_guard(float* out) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = 1;  // HERE: one block too many
}

__global__ void one_too_far(float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) out[i] = 1;  // HERE: less or equal
}

__global__ void halo(const float* x, float* out, int n) {
  const int i = threadIdx.x;
  if (i < n) out[i] = x[i - 1];  // HERE: before the first
}

__global__ void transposed_index(const float* x, float* out, int rows, int columns) {
  const int i = threadIdx.y, j = threadIdx.x;
  out[i * columns + j] = x[j * columns + i];  // HERE: rows and columns exchanged
  (void)rows;
}

__global__ void shared_overrun(float* out) {
  __shared__ float s[40];
  s[threadIdx.x] = 1;  // HERE: beyond a shared array
  __syncthreads();
  if (threadIdx.x == 0) *out = s[0];
}

__global__ void dynamic_overrun(float* out) {
  NEEDLE_DYNAMIC_SHARED(float, s);
  s[threadIdx.x] = 1;  // HERE: too little dynamic shared memory
  __syncthreads();
  if (threadIdx.x == 0) *out = s[0];
}

__global__ void store(float* out) {
  *out = 1;  // HERE: null pointer // HERE: pointer of the host // HERE: store to released memory
}

__global__ void wild(float* out, const int* index) {
  out[index[threadIdx.x]] = 1;  // HERE: wild index
}

__global__ void atomic_outside(int* bins, int key) {
  atomicAdd(&bins[key], 1);  // HERE: atomic outside
}

__global__ void load(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x];  // HERE: load of released memory
}

__global__ void vectors(const float* x, float4* out) {
  const auto* from = reinterpret_cast<const float4*>(x + 1);
  out[threadIdx.x] = from[threadIdx.x];  // HERE: misaligned float4
}

__global__ void words(const char* x, int* out) {
  out[threadIdx.x] = *reinterpret_cast<const int*>(x + 5 * threadIdx.x);  // HERE: misaligned int
}

struct Row {
  float values[3];
};

__global__ void rows(const Row* x, Row* out) {
  out[threadIdx.x] = x[threadIdx.x];  // HERE: struct beyond the end
}

}  // namespace

std::vector<Defect> memory_defects() {
  return {
      {"one block too many", Kind::out_of_bounds,
       [] {
         Array<float> out(512);
         NEEDLE_LAUNCH((no_guard), 3, 256, 0, out.data());
       },
       true},
      {"less or equal", Kind::out_of_bounds,
       [] {
         Array<float> out(1000);
         NEEDLE_LAUNCH((one_too_far), 4, 256, 0, out.data(), 1000);
       },
       true},
      {"before the first", Kind::out_of_bounds,
       [] {
         Array<float> x(32), out(32);
         NEEDLE_LAUNCH((halo), 1, 32, 0, x.data(), out.data(), 32);
       }},
      {"rows and columns exchanged", Kind::out_of_bounds,
       [] {
         Array<float> x(4 * 8), out(4 * 8);
         NEEDLE_LAUNCH((transposed_index), 1, dim3(8, 4), 0, x.data(), out.data(), 4, 8);
       }},
      {"beyond a shared array", Kind::out_of_bounds,
       [] {
         Array<float> out(1);
         NEEDLE_LAUNCH((shared_overrun), 1, 41, 0, out.data());
       },
       true},
      {"too little dynamic shared memory", Kind::out_of_bounds,
       [] {
         Array<float> out(1);
         NEEDLE_LAUNCH((dynamic_overrun), 1, 64, 32 * sizeof(float), out.data());
       },
       true},
      {"null pointer", Kind::out_of_bounds,
       [] { NEEDLE_LAUNCH((store), 1, 1, 0, static_cast<float*>(nullptr)); }},
      {"pointer of the host", Kind::out_of_bounds,
       [] {
         const std::vector<float> host(1);
         NEEDLE_LAUNCH((store), 1, 1, 0, const_cast<float*>(host.data()));
       },
       true},
      {"wild index", Kind::out_of_bounds,
       [] {
         Array<float> out(32);
         Array<int> index(32, 1 << 28);
         NEEDLE_LAUNCH((wild), 1, 32, 0, out.data(), index.data());
       }},
      {"atomic outside", Kind::out_of_bounds,
       [] {
         Array<int> bins(10);
         NEEDLE_LAUNCH((atomic_outside), 1, 1, 0, bins.data(), 10);
       },
       true},
      {"load of released memory", Kind::freed,
       [] {
         auto* x = static_cast<float*>(allocate(128));
         Array<float> out(32);
         release(x);
         NEEDLE_LAUNCH((load), 1, 32, 0, x, out.data());
       }},
      {"store to released memory", Kind::freed,
       [] {
         auto* x = static_cast<float*>(allocate(128));
         release(x);
         NEEDLE_LAUNCH((store), 1, 1, 0, x);
       },
       true},
      {"misaligned float4", Kind::misaligned,
       [] {
         Array<float> x(64);
         Array<float4> out(8);
         NEEDLE_LAUNCH((vectors), 1, 8, 0, x.data(), out.data());
       }},
      {"misaligned int", Kind::misaligned,
       [] {
         Array<char> x(64);
         Array<int> out(8);
         NEEDLE_LAUNCH((words), 1, 8, 0, x.data(), out.data());
       },
       true},
      {"struct beyond the end", Kind::out_of_bounds,
       [] {
         Array<Row> x(7), out(8);
         NEEDLE_LAUNCH((rows), 1, 8, 0, x.data(), out.data());
       }},
  };
}

}  // namespace needle::sim
