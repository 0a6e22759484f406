// Adds two vectors: a whole CUDA program.  (Lesson 04)
//
//   ./course sim lessons/04-hardware/add.cu
//   nvcc lessons/04-hardware/add.cu -o add && ./add
#include <cuda_runtime.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

__global__ void add(const float* a, const float* b, float* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

int main() {
  const int n = 1000;
  const size_t bytes = n * sizeof(float);
  std::vector<float> host(n, 1.5f);
  float *a, *b, *c;
  check(cudaMalloc(&a, bytes), "cudaMalloc");
  check(cudaMalloc(&b, bytes), "cudaMalloc");
  check(cudaMalloc(&c, bytes), "cudaMalloc");
  check(cudaMemcpy(a, host.data(), bytes, cudaMemcpyHostToDevice), "copy of a");
  check(cudaMemcpy(b, host.data(), bytes, cudaMemcpyHostToDevice), "copy of b");

  const int threads = 256, blocks = (n + threads - 1) / threads;
  add<<<blocks, threads>>>(a, b, c, n);
  check(cudaGetLastError(), "launch of add");    // refused? It is told at once.
  check(cudaDeviceSynchronize(), "run of add");  // faulted? It is told when somebody waits.

  check(cudaMemcpy(host.data(), c, bytes, cudaMemcpyDeviceToHost), "copy of c");
  std::printf("%d blocks of %d threads: c[999] = %g\n", blocks, threads, host[999]);
  for (float* x : {a, b, c}) check(cudaFree(x), "cudaFree");
}
