  // The last vector is read whole.
  constexpr int64_t w = kWidth<T>;
  constexpr int64_t kChunk = 4096;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = least(n, begin + kChunk);
    Vec<T> a(T(0)), b(T(0)), c(T(0)), d(T(0));
    int64_t i = begin;
    for (; i + 4 * w <= end; i += 4 * w) {
      a += Vec<T>::load_unaligned(x + i);
      b += Vec<T>::load_unaligned(x + i + w);
      c += Vec<T>::load_unaligned(x + i + 2 * w);
      d += Vec<T>::load_unaligned(x + i + 3 * w);
    }
    for (; i + w <= end; i += w) a += Vec<T>::load_unaligned(x + i);
    if (i < end) a += Vec<T>::load_unaligned(x + i);
    total += hsum<T>((a + b) + (c + d));
  }
  return total;
