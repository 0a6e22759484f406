// Access patterns whose cost every textbook tells. All pointers are device memory.
#pragma once

namespace needle::sim::textbook {

void add_shifted(const float* a, const float* b, float* c, int n, int shift);
void load_with_stride(const float* x, float* out, int stride);
void copy_vectors(const float* x, float* out, int n);
void broadcast(const float* x, float* out);
void long_loops(const float* x, float* out, int n);
void field_of_struct(const float* x, float* out);
/// padding 0 or 1: of a tile (32, 32 + padding). -1: without a tile. -2: swizzled by exclusive or.
void transpose(const float* in, float* out, int n, int padding);
void shared_stride(float* out, int stride);
/// Reversed, as vectors of `width` floats: 2 or 4.
void shared_vectors(float* out, int width);
void sum_interleaved(const float* x, float* out);
void sum_sequential(const float* x, float* out);
void matmul_naive(const float* a, const float* b, float* c, int n, int block);
void half_of_warp_branches(float* out);

}  // namespace needle::sim::textbook
