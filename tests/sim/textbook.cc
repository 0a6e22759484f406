// Access patterns whose cost every textbook tells.
#include "textbook.h"

#include "cuda/launch.h"

namespace needle::sim::textbook {
namespace {

__global__ void add_k(const float* a, const float* b, float* c, int shift) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  c[i] = a[i + shift] + b[i + shift];
}

__global__ void stride_k(const float* x, float* out, int stride) {
  out[threadIdx.x] = x[threadIdx.x * stride];
}

__global__ void vectors_k(const float4* x, float4* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = x[i];
}

__global__ void broadcast_k(const float* x, float* out) { out[threadIdx.x] = *x; }

/// One thread alone, then all of them; a warp's lanes are far apart for long.
__global__ void long_loops_k(const float* x, float* out, int n) {
  float sum = 0;
  if (threadIdx.x == 0) {
    for (int i = 0; i < n; ++i) sum += x[i % 1024];
  }
  __syncthreads();
  for (int i = 0; i < n; ++i) sum += x[(i + threadIdx.x) % 1024];
  out[threadIdx.x] = sum;
}

struct Three {
  float x, y, z;
};

__global__ void field_k(const Three* x, float* out) { out[threadIdx.x] = x[threadIdx.x].x; }

__global__ void transpose_naive(const float* in, float* out, int n) {
  const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  out[x * n + y] = in[y * n + x];
}

template <int Padding>
__global__ void transpose_tile(const float* in, float* out, int n) {
  __shared__ float tile[32][32 + Padding];
  const int x = threadIdx.x, y = threadIdx.y, left = blockIdx.x * 32, top = blockIdx.y * 32;
  tile[y][x] = in[(top + y) * n + left + x];
  __syncthreads();
  out[(left + y) * n + top + x] = tile[x][y];
}

__global__ void transpose_swizzled(const float* in, float* out, int n) {
  __shared__ float tile[32][32];
  const int x = threadIdx.x, y = threadIdx.y, left = blockIdx.x * 32, top = blockIdx.y * 32;
  tile[y][x ^ y] = in[(top + y) * n + left + x];
  __syncthreads();
  out[(left + y) * n + top + x] = tile[x][y ^ x];
}

__global__ void shared_stride_k(float* out, int stride) {
  __shared__ float s[32 * 8];
  for (int i = threadIdx.x; i < 32 * 8; i += 32) s[i] = i;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x * stride];
}

template <class Vector>
__global__ void shared_vectors_k(float* out) {
  __shared__ Vector s[32];
  s[threadIdx.x] = {};
  __syncthreads();
  reinterpret_cast<Vector*>(out)[threadIdx.x] = s[31 - threadIdx.x];
}

__global__ void interleaved_k(const float* x, float* out) {
  __shared__ float s[256];
  const unsigned t = threadIdx.x;
  s[t] = x[t];
  __syncthreads();
  for (unsigned d = 1; d < 256; d *= 2) {
    const unsigned i = 2 * d * t;
    if (i < 256) s[i] += s[i + d];
    __syncthreads();
  }
  if (t == 0) *out = s[0];
}

__global__ void sequential_k(const float* x, float* out) {
  __shared__ float s[256];
  const unsigned t = threadIdx.x;
  s[t] = x[t];
  __syncthreads();
  for (unsigned d = 128; d > 0; d /= 2) {
    if (t < d) s[t] += s[t + d];
    __syncthreads();
  }
  if (t == 0) *out = s[0];
}

__global__ void matmul_k(const float* a, const float* b, float* c, int n) {
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < n; ++k) {
    const float left = a[row * n + k];
    const float right = b[k * n + column];
    sum += left * right;
  }
  c[row * n + column] = sum;
}

__global__ void branches_k(float* out) {
  if (threadIdx.x % 32 < 16) {
    out[threadIdx.x] = 1;
  } else {
    out[threadIdx.x + 64] = 2;
  }
  if (threadIdx.x < 64) out[threadIdx.x] += 3;
}

}  // namespace

void add_shifted(const float* a, const float* b, float* c, int n, int shift) {
  NEEDLE_LAUNCH((add_k), n / 256, 256, 0, a, b, c, shift);
}

void load_with_stride(const float* x, float* out, int stride) {
  NEEDLE_LAUNCH((stride_k), 1, 32, 0, x, out, stride);
}

void copy_vectors(const float* x, float* out, int n) {
  NEEDLE_LAUNCH((vectors_k), n / 1024, 256, 0, reinterpret_cast<const float4*>(x),
                reinterpret_cast<float4*>(out));
}

void broadcast(const float* x, float* out) { NEEDLE_LAUNCH((broadcast_k), 1, 32, 0, x, out); }

void long_loops(const float* x, float* out, int n) {
  NEEDLE_LAUNCH((long_loops_k), 1, 64, 0, x, out, n);
}

void field_of_struct(const float* x, float* out) {
  NEEDLE_LAUNCH((field_k), 1, 32, 0, reinterpret_cast<const Three*>(x), out);
}

void transpose(const float* in, float* out, int n, int padding) {
  const dim3 grid(n / 32, n / 32), block(32, 32);
  if (padding == -2) NEEDLE_LAUNCH((transpose_swizzled), grid, block, 0, in, out, n);
  if (padding == -1) NEEDLE_LAUNCH((transpose_naive), grid, block, 0, in, out, n);
  if (padding == 0) NEEDLE_LAUNCH((transpose_tile<0>), grid, block, 0, in, out, n);
  if (padding == 1) NEEDLE_LAUNCH((transpose_tile<1>), grid, block, 0, in, out, n);
}

void shared_stride(float* out, int stride) {
  NEEDLE_LAUNCH((shared_stride_k), 1, 32, 0, out, stride);
}

void shared_vectors(float* out, int width) {
  if (width == 2) NEEDLE_LAUNCH((shared_vectors_k<float2>), 1, 32, 0, out);
  if (width == 4) NEEDLE_LAUNCH((shared_vectors_k<float4>), 1, 32, 0, out);
}

void sum_interleaved(const float* x, float* out) {
  NEEDLE_LAUNCH((interleaved_k), 1, 256, 0, x, out);
}

void sum_sequential(const float* x, float* out) {
  NEEDLE_LAUNCH((sequential_k), 1, 256, 0, x, out);
}

void matmul_naive(const float* a, const float* b, float* c, int n, int block) {
  NEEDLE_LAUNCH((matmul_k), dim3(n / block, n / block), dim3(block, block), 0, a, b, c, n);
}

void half_of_warp_branches(float* out) { NEEDLE_LAUNCH((branches_k), 1, 128, 0, out); }

}  // namespace needle::sim::textbook
