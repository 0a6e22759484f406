// Correct kernels.
#include "kernels.h"

#include "cuda/launch.h"
#include "cuda/sim/include/cooperative_groups.h"
#include "memory.h"

namespace needle::sim::kernels {
namespace {

__global__ void add(const float* a, const float* b, float* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

__global__ void transpose_tiled(const float* in, float* out, int n) {
  __shared__ float tile[32][33];
  const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32;
  for (int i = threadIdx.y; i < 32; i += blockDim.y) {
    if (x < n && y + i < n) tile[i][threadIdx.x] = in[(y + i) * n + x];
  }
  __syncthreads();
  const int column = blockIdx.y * 32 + threadIdx.x, row = blockIdx.x * 32;
  for (int i = threadIdx.y; i < 32; i += blockDim.y) {
    if (column < n && row + i < n) out[(row + i) * n + column] = tile[threadIdx.x][i];
  }
}

template <int T>
__global__ void __launch_bounds__(T* T)
    matmul_tiled(const float* a, const float* b, float* c, int n) {
  __shared__ float left[T][T], right[T][T];
  const int row = blockIdx.y * T + threadIdx.y, column = blockIdx.x * T + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < n; k += T) {
    left[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
    right[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
    __syncthreads();
    for (int i = 0; i < T; ++i) sum += left[threadIdx.y][i] * right[i][threadIdx.x];
    __syncthreads();
  }
  c[row * n + column] = sum;
}

__device__ float warp_sum(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_down_sync(0xffffffff, x, step);
  return x;
}

__global__ void sum_blocks(const float* x, float* out, int n) {
  __shared__ float sums[32];
  float sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    sum += x[i];
  }
  sum = warp_sum(sum);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    sum = warp_sum(lane < blockDim.x / 32 ? sums[lane] : 0);
    if (lane == 0) out[blockIdx.x] = sum;
  }
}

__global__ void sum_clusters(const int* x, int* out, bool ends) {
  __shared__ int own, of_block[2][8];
  const unsigned block = blockIdx.x + blockIdx.y * gridDim.x, first = ends;
  const auto cluster = cooperative_groups::this_cluster();
  if (threadIdx.x == 0) own = 0, out[block] = -1;
  cluster.sync();
  if (blockIdx.y < first) return;
  atomicAdd(&own, x[block * 64 + threadIdx.x]);
  int turn = 0, sum = 0;
  for (; turn < 5; ++turn) {  // what was written last time is read while the next is written
    __syncthreads();
    if (threadIdx.x >= first && threadIdx.x < gridDim.y) {
      *cluster.map_shared_rank(&of_block[turn % 2][blockIdx.y], threadIdx.x) = own + turn;
    }
    cluster.sync();
    for (unsigned i = first; i < gridDim.y; ++i) sum += of_block[turn % 2][i] - turn;
  }
  if (threadIdx.x == 0) out[block] = sum / turn;
}

__device__ void count(const uint8_t* x, int* bins, int n, int* own) {
  own[threadIdx.x] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    atomicAdd(&own[x[i]], 1);
  }
  __syncthreads();
  atomicAdd(&bins[threadIdx.x], own[threadIdx.x]);
}

__global__ void histogram_static(const uint8_t* x, int* bins, int n) {
  __shared__ int own[256];
  count(x, bins, n, own);
}

__global__ void histogram_dynamic(const uint8_t* x, int* bins, int n) {
  NEEDLE_DYNAMIC_SHARED(int, own);
  count(x, bins, n, own);
}

__global__ void reverse_blocks(const float* x, float* out) {
  NEEDLE_DYNAMIC_SHARED(float, s);
  const int i = blockIdx.x * 64 + threadIdx.x;
  s[threadIdx.x] = __ldg(&x[i]);
  __syncthreads();
  out[i] = s[63 - threadIdx.x];
}

__global__ void warp_results(int* out) {
  const int lane = threadIdx.x;
  const unsigned all = 0xffffffff;
  out[lane] = __shfl_sync(all, lane * 10, 5);
  out[32 + lane] = __shfl_up_sync(all, lane, 3);
  out[64 + lane] = __shfl_down_sync(all, lane, 3, 8);
  out[96 + lane] = __shfl_xor_sync(all, lane, 1);
  out[128 + lane] = static_cast<int>(__ballot_sync(all, lane % 3 == 0));
  out[160 + lane] = __reduce_add_sync(all, lane) * 10 + __any_sync(all, lane == 7) * 2 +
                    __all_sync(all, lane < 32);
  out[192 + lane] = __reduce_min_sync(all, -lane);
  // Two halves do different things at the same time.
  const unsigned half = lane < 16 ? 0x0000ffff : 0xffff0000;
  if (lane < 16) {
    out[224 + lane] = __reduce_max_sync(half, lane);
  } else {
    out[224 + lane] = static_cast<int>(__shfl_xor_sync(half, double(lane), 15));
  }
}

__global__ void add_atomically(int* i, unsigned* u, unsigned long long* l, float* f, double* d,
                               int n) {
  if (static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) >= n) return;
  atomicAdd(i, 1);
  atomicAdd(u, 1u);
  atomicAdd(l, 1ull);
  atomicAdd(f, 1.0f);
  atomicAdd(d, 1.0);
}

__global__ void votes(int* out) {
  out[0] = __syncthreads_count(threadIdx.x < 40);
  out[1] = __syncthreads_and(threadIdx.x < 64);
  out[2] = __syncthreads_or(threadIdx.x == 63);
  out[3] = __syncthreads_or(threadIdx.x == 64);
}

__global__ void write_indices(int* index) {
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  index[block * 24 + thread] = block * 1000 + thread;
}

__global__ void lock_and_count(int* lock, int* counter) {
  for (bool done = false; !done;) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *counter += 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

__global__ void flag_kernel(int* flag, int* out) {
  if (threadIdx.x == 0) {
    while (atomicAdd(flag, 0) == 0) {
    }
    out[1] = 2;
  } else {
    atomicExch(flag, 1);
  }
}

__global__ void sum_by_last_block(const float* x, float* partial, unsigned* ticket, float* out,
                                  int n) {
  __shared__ bool is_last;
  const int i = blockIdx.x * 32 + threadIdx.x;
  const float sum = warp_sum(i < n ? x[i] : 0);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    is_last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  const float total = warp_sum(threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0);
  if (threadIdx.x == 0) *out = total;
}

__global__ void reverse_in_warp(const float* x, float* out) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = s[31 - threadIdx.x];
}

}  // namespace

void vector_add(const float* a, const float* b, float* c, int n, int block) {
  NEEDLE_LAUNCH((add), (n + block - 1) / block, block, 0, a, b, c, n);
}

void transpose(const float* in, float* out, int n) {
  const unsigned tiles = (n + 31) / 32;
  NEEDLE_LAUNCH((transpose_tiled), dim3(tiles, tiles), dim3(32, 8), 0, in, out, n);
}

void matmul(int tile, const float* a, const float* b, float* c, int n) {
  const dim3 grid(n / tile, n / tile), block(tile, tile);
  if (tile == 8) NEEDLE_LAUNCH((matmul_tiled<8>), grid, block, 0, a, b, c, n);
  if (tile == 16) NEEDLE_LAUNCH((matmul_tiled<16>), grid, block, 0, a, b, c, n);
  if (tile == 32) NEEDLE_LAUNCH((matmul_tiled<32>), grid, block, 0, a, b, c, n);
}

void block_sums(const float* x, float* out, int n, int blocks, int threads) {
  NEEDLE_LAUNCH((sum_blocks), blocks, threads, 0, x, out, n);
}

void histogram(const uint8_t* x, int* bins, int n, bool dynamic) {
  if (dynamic) {
    NEEDLE_LAUNCH((histogram_dynamic), 6, 256, 256 * sizeof(int), x, bins, n);
  } else {
    NEEDLE_LAUNCH((histogram_static), 6, 256, 0, x, bins, n);
  }
}

void reverse(const float* x, float* out, int n) {
  NEEDLE_LAUNCH((reverse_blocks), n / 64, 64, 64 * sizeof(float), x, out);
}

void warp_operations(int* out) { NEEDLE_LAUNCH((warp_results), 1, 32, 0, out); }

void atomic_sums(int* i, unsigned* u, unsigned long long* l, float* f, double* d, int n) {
  NEEDLE_LAUNCH((add_atomically), (n + 127) / 128, 128, 0, i, u, l, f, d, n);
}

void barrier_votes(int* out) { NEEDLE_LAUNCH((votes), 1, 64, 0, out); }

void indices(int* index) { NEEDLE_LAUNCH((write_indices), dim3(2, 3, 4), dim3(4, 3, 2), 0, index); }

void spin_lock(int* lock, int* counter, int threads) {
  NEEDLE_LAUNCH((lock_and_count), 1, threads, 0, lock, counter);
}

void wait_for_flag(int* flag, int* out) { NEEDLE_LAUNCH((flag_kernel), 1, 2, 0, flag, out); }

void last_block_sum(const float* x, float* partial, unsigned* ticket, float* out, int n) {
  NEEDLE_LAUNCH((sum_by_last_block), (n + 31) / 32, 32, 0, x, partial, ticket, out, n);
}

void warp_reverse(const float* x, float* out) {
  NEEDLE_LAUNCH((reverse_in_warp), 1, 32, 0, x, out);
}

void cluster_sums(const int* x, int* out, int clusters, int blocks, bool ends) {
  NEEDLE_LAUNCH_CLUSTERS((sum_clusters), dim3(clusters, blocks), 64, x, out, ends);
}

void run_all() {
  Array<float> a(4096, 1), b(4096, 2), c(4096), f(1), partial(32);
  Array<int> ints(1024), one(1), two(2);
  Array<unsigned> u(1), ticket(1);
  Array<unsigned long long> l(1);
  Array<double> d(1);
  Array<uint8_t> bytes(5000, 3);
  vector_add(a.data(), b.data(), c.data(), 1000, 128);
  transpose(a.data(), c.data(), 50);
  for (const int tile : {8, 16, 32}) matmul(tile, a.data(), b.data(), c.data(), 64);
  block_sums(a.data(), c.data(), 4000, 3, 256);
  for (const bool dynamic : {false, true}) histogram(bytes.data(), ints.data(), 5000, dynamic);
  reverse(a.data(), c.data(), 256);
  warp_operations(ints.data());
  atomic_sums(one.data(), u.data(), l.data(), f.data(), d.data(), 500);
  indices(ints.data());
  one[0] = 0;
  spin_lock(one.data(), two.data(), 64);
  last_block_sum(a.data(), partial.data(), ticket.data(), f.data(), 1000);
  warp_reverse(a.data(), c.data());
}

}  // namespace needle::sim::kernels
