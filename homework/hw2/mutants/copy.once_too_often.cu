  // Each block also copies the first elements of the next: right, but two blocks write them.
  const int64_t first = int64_t{blockIdx.x} * blockDim.x * kCopies + threadIdx.x;
  int64_t at[kCopies + 1][2];
  T held[kCopies + 1];
#pragma unroll
  for (int j = 0; j < kCopies + 1; ++j) {  // all are asked for before the first is stored
    const int64_t i = first + j * int64_t{blockDim.x};
    if (i >= w.size) continue;
    w.locate(i, at[j]);
    held[j] = *reinterpret_cast<const T*>(w.data[1] + at[j][1]);
  }
#pragma unroll
  for (int j = 0; j < kCopies + 1; ++j) {
    if (first + j * int64_t{blockDim.x} >= w.size) continue;
    *reinterpret_cast<T*>(w.data[0] + at[j][0]) = held[j];
  }
