// Correct kernels, each started by a function of the host. All pointers are device memory.
#pragma once

#include <cstdint>

namespace needle::sim::kernels {

void vector_add(const float* a, const float* b, float* c, int n, int block);
/// out (n, n) = the transpose of in, by tiles of 32 x 32 in shared memory.
void transpose(const float* in, float* out, int n);
/// c (n, n) = a x b, by tiles of T x T: T is 8, 16 or 32, and divides n.
void matmul(int tile, const float* a, const float* b, float* c, int n);
/// out[block] = the sum of each block's part of x; by shuffles.
void block_sums(const float* x, float* out, int n, int blocks, int threads);
/// bins[x[i]] += 1, in shared memory first; `dynamic` chooses which kind of that.
void histogram(const uint8_t* x, int* bins, int n, bool dynamic);
/// out[i] = x[n - 1 - i] within each block of 64.
void reverse(const float* x, float* out, int n);
/// Each element of out (8, 32): what one operation of a warp gave lane i.
void warp_operations(int* out);
/// sums[0] = n of each: atomicAdd on every type, by blocks at the same time.
void atomic_sums(int* i, unsigned* u, unsigned long long* l, float* f, double* d, int n);
/// Votes of barriers, and indices in three dimensions: out (4) and index (2*3*4 * 5).
void barrier_votes(int* out);
void indices(int* index);
/// A spin lock that each thread of a block takes once.
void spin_lock(int* lock, int* counter, int threads);
/// out[1] waits for a flag that another thread of the block sets.
void wait_for_flag(int* flag, int* out);
/// out = the sum of x by the block that comes last.
void last_block_sum(const float* x, float* partial, unsigned* ticket, float* out, int n);
/// out[i] = x[31 - i], within a warp that waits for itself alone.
void warp_reverse(const float* x, float* out);
/// out (blocks, clusters) = what the blocks of a cluster have of x (blocks, clusters, 64), in all; block 0
/// goes without it, with -1, if it `ends` early.
void cluster_sums(const int* x, int* out, int clusters, int blocks, bool ends);

/// Each of them once, at small sizes.
void run_all();

}  // namespace needle::sim::kernels
