  // The lanes exchange through shared memory, with barriers that some warps never reach.
  __shared__ T values[8][32];
  __shared__ int64_t indices[8][32];
  Found<T> best = search<T, largest>(x, threadIdx.x, 32, n, step);
  values[threadIdx.y][threadIdx.x] = best.value;
  indices[threadIdx.y][threadIdx.x] = best.index;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < 32; ++i) {
      best = Better<largest, T>{}(best, {values[threadIdx.y][i], indices[threadIdx.y][i]});
    }
    *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
  }
