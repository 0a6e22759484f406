  // The element is read at the place where it is written.
  const int64_t first = int64_t{blockIdx.x} * blockDim.x * kCopies + threadIdx.x;
  int64_t at[kCopies][2];
  T held[kCopies];
#pragma unroll
  for (int j = 0; j < kCopies; ++j) {  // all are asked for before the first is stored
    const int64_t i = first + j * int64_t{blockDim.x};
    if (i >= w.size) continue;
    w.locate(i, at[j]);
    held[j] = *reinterpret_cast<const T*>(w.data[1] + at[j][0]);
  }
#pragma unroll
  for (int j = 0; j < kCopies; ++j) {
    if (first + j * int64_t{blockDim.x} >= w.size) continue;
    *reinterpret_cast<T*>(w.data[0] + at[j][0]) = held[j];
  }
