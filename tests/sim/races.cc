// Kernels with a data race, or with shared memory that nobody wrote.
#include <stdexcept>

#include "cuda/launch.h"
#include "defects.h"
#include "memory.h"

namespace needle::sim {
namespace {

__global__ void neighbour(float* out) {
  __shared__ float s[65];
  if (threadIdx.x == 0) s[64] = 0;
  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[threadIdx.x + 1];  // HERE: neighbour without barrier
}

__global__ void reduction(const float* x, float* out) {
  __shared__ float s[256];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  for (unsigned step = 128; step > 0; step /= 2) {
    if (threadIdx.x < step)
      s[threadIdx.x] += s[threadIdx.x + step];  // HERE: reduction without barrier
  }
  __syncthreads();
  if (threadIdx.x == 0) *out = s[0];
}

__global__ void matmul(const float* a, const float* b, float* c, int n) {
  __shared__ float left[16][16], right[16][16];
  const int x = threadIdx.x, y = threadIdx.y;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    left[y][x] = a[(blockIdx.y * 16 + y) * n + k + x];
    right[y][x] = b[(k + y) * n + blockIdx.x * 16 + x];
    __syncthreads();
    for (int i = 0; i < 16; ++i)
      sum += left[y][i] * right[i][x];  // HERE: matmul without second barrier
  }
  c[(blockIdx.y * 16 + y) * n + blockIdx.x * 16 + x] = sum;
}

__global__ void shared_histogram(const int* x, int* bins) {
  __shared__ int own[4];
  if (threadIdx.x < 4) own[threadIdx.x] = 0;
  __syncthreads();
  own[x[threadIdx.x]] += 1;  // HERE: shared histogram without atomics
  __syncthreads();
  if (threadIdx.x < 4) bins[threadIdx.x] = own[threadIdx.x];
}

__global__ void global_histogram(const int* x, int* bins) {
  bins[x[blockIdx.x * 32 + threadIdx.x]] += 1;  // HERE: global histogram without atomics
}

__global__ void same_output(float* out) {
  out[threadIdx.x] = blockIdx.x;  // HERE: two blocks write the same
}

__global__ void smooth_in_place(float* x, int n) {
  const int i = blockIdx.x * 32 + threadIdx.x;
  const float next = i + 1 < n ? x[i + 1] : 0;
  __syncthreads();
  x[i] = (x[i] + next) / 2;  // HERE: reads what the next block writes
}

__global__ void counter(int* count, int* out) {
  atomicAdd(count, 1);
  out[threadIdx.x] = *count;  // HERE: plain read of an atomic counter
}

__global__ void warp_exchange_without_sync(int* out) {
  __shared__ int s[32];
  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[31 - threadIdx.x];  // HERE: warp without syncwarp
}

__global__ void half_warp_sync(int* out) {
  __shared__ int s[32];
  s[threadIdx.x] = threadIdx.x;
  __syncwarp(threadIdx.x < 16 ? 0x0000ffff : 0xffff0000);
  out[threadIdx.x] = s[31 - threadIdx.x];  // HERE: syncwarp of halves only
}

__global__ void one_initialises(int* out) {
  __shared__ int value;
  if (threadIdx.x == 0) value = 7;
  out[threadIdx.x] = value;  // HERE: one thread initialises without barrier
}

__global__ void flag_without_fence(float* data, int* flag, float* out) {
  if (blockIdx.x == 0) {
    data[threadIdx.x] = 1;
    if (threadIdx.x == 0) atomicExch(flag, 1);
  } else if (atomicAdd(flag, 0) == 1) {
    out[threadIdx.x] = data[threadIdx.x];  // HERE: flag without fence
  }
}

__global__ void bytes(unsigned char* out) {
  out[threadIdx.x / 2] = 1;  // HERE: two threads write one byte
}

__global__ void half_written(float* out) {
  __shared__ float s[64];
  if (threadIdx.x < 32) s[threadIdx.x] = 1;
  __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = s[threadIdx.x];  // HERE: half of shared memory written
}

__global__ void bins_not_cleared(int* out) {
  __shared__ int bins[32];
  atomicAdd(&bins[threadIdx.x % 32], 1);  // HERE: shared bins not cleared
  __syncthreads();
  out[threadIdx.x % 32] = 0;
}

__global__ void dynamic_not_written(float* out) {
  NEEDLE_DYNAMIC_SHARED(float, s);
  if (threadIdx.x > 0) s[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];  // HERE: first element of dynamic shared memory not written
}

}  // namespace

std::vector<Defect> races() {
  return {
      {"neighbour without barrier", Kind::race,
       [] {
         Array<float> out(64);
         NEEDLE_LAUNCH((neighbour), 1, 64, 0, out.data());
       }},
      {"reduction without barrier", Kind::race,
       [] {
         Array<float> x(256, 1), out(1);
         NEEDLE_LAUNCH((reduction), 1, 256, 0, x.data(), out.data());
       }},
      {"matmul without second barrier", Kind::race,
       [] {
         Array<float> a(1024, 1), b(1024, 1), c(1024);
         NEEDLE_LAUNCH((matmul), dim3(2, 2), dim3(16, 16), 0, a.data(), b.data(), c.data(), 32);
       }},
      {"shared histogram without atomics", Kind::race,
       [] {
         Array<int> x(32), bins(4);
         x.fill([](size_t i) { return i % 4; });
         NEEDLE_LAUNCH((shared_histogram), 1, 32, 0, x.data(), bins.data());
         for (const int bin : bins) {
           if (bin != 8) throw std::logic_error("the defect shows in the result");
         }
       },
       true},
      {"global histogram without atomics", Kind::race_between_blocks,
       [] {
         Array<int> x(64), bins(64);
         // Each thread of a block has its own bin: within the block there is no race.
         x.fill([](size_t i) { return i % 32; });
         NEEDLE_LAUNCH((global_histogram), 2, 32, 0, x.data(), bins.data());
         for (int i = 0; i < 32; ++i) {
           if (bins[i] != 2) throw std::logic_error("the defect shows in the result");
         }
       },
       true},
      {"two blocks write the same", Kind::race_between_blocks,
       [] {
         Array<float> out(32);
         NEEDLE_LAUNCH((same_output), 2, 32, 0, out.data());
       }},
      {"reads what the next block writes", Kind::race_between_blocks,
       [] {
         Array<float> x(64, 1);
         NEEDLE_LAUNCH((smooth_in_place), 2, 32, 0, x.data(), 64);
       }},
      {"plain read of an atomic counter", Kind::race,
       [] {
         Array<int> count(1), out(32);
         NEEDLE_LAUNCH((counter), 1, 32, 0, count.data(), out.data());
       }},
      {"warp without syncwarp", Kind::race,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((warp_exchange_without_sync), 1, 32, 0, out.data());
       }},
      {"syncwarp of halves only", Kind::race,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((half_warp_sync), 1, 32, 0, out.data());
       }},
      {"one thread initialises without barrier", Kind::race,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((one_initialises), 1, 32, 0, out.data());
       }},
      {"flag without fence", Kind::race_between_blocks,
       [] {
         Array<float> data(32), out(32);
         Array<int> flag(1);
         NEEDLE_LAUNCH((flag_without_fence), 2, 32, 0, data.data(), flag.data(), out.data());
       }},
      {"two threads write one byte", Kind::race,
       [] {
         Array<unsigned char> out(16);
         NEEDLE_LAUNCH((bytes), 1, 32, 0, out.data());
       },
       true},
      {"half of shared memory written", Kind::uninitialised,
       [] {
         Array<float> out(128);
         NEEDLE_LAUNCH((half_written), 2, 64, 0, out.data());
       }},
      {"shared bins not cleared", Kind::uninitialised,
       [] {
         Array<int> out(32);
         NEEDLE_LAUNCH((bins_not_cleared), 1, 32, 0, out.data());
       }},
      {"first element of dynamic shared memory not written", Kind::uninitialised,
       [] {
         Array<float> out(64);
         NEEDLE_LAUNCH((dynamic_not_written), 1, 64, 256, out.data());
       }},
  };
}

}  // namespace needle::sim
