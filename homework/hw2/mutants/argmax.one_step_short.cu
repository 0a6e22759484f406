  // The exchange ends at distance 2.
  const Better<largest, T> better;
  Found<T> best = search<T, largest>(x, threadIdx.x, 32, n, step);
  for (int distance = 16; distance > 1; distance /= 2) {
    using Wide = std::conditional_t<std::is_same_v<T, bool>, int, T>;  // no shuffle takes a bool
    const Wide value = __shfl_xor_sync(kAllLanes, static_cast<Wide>(best.value), distance);
    const int64_t index = __shfl_xor_sync(kAllLanes, best.index, distance);
    best = better(best, {static_cast<T>(value), index});
  }
  if (threadIdx.x == 0) *reinterpret_cast<int64_t*>(kept.data[1] + at[1]) = best.index;
