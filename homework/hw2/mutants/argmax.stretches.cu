  // Each lane searches a stretch of its own: right, but a warp reads from 32 places.
  const Better<largest, T> better;
  Found<T> best = search<T, largest>(
      x, threadIdx.x * ((n + 31) / 32), 1, least(n, (threadIdx.x + 1) * ((n + 31) / 32)), step);
  for (int distance = 16; distance > 0; distance /= 2) {
    using Wide = std::conditional_t<std::is_same_v<T, bool>, int, T>;  // no shuffle takes a bool
    const Wide value = __shfl_xor_sync(kAllLanes, static_cast<Wide>(best.value), distance);
    const int64_t index = __shfl_xor_sync(kAllLanes, best.index, distance);
    best = better(best, {static_cast<T>(value), index});
  }
  if (threadIdx.x == 0) *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
