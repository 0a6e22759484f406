  // Lane 0 searches alone: right, but 31 lanes do nothing, and each read is a request.
  if (threadIdx.x > 0) return;
  const Found<T> best = search<T, largest>(x, 0, 1, n, step);
  *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
