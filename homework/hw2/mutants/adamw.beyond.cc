  // The last vector is a whole one and goes beyond the end.
  parallel_for(p.size(), 16384, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kWidth<T>) {
      const Vec<T> gi = Vec<T>::load_unaligned(g.as<T>() + i);
      const Vec<T> mi = fma<T>(beta1, Vec<T>::load_unaligned(m.as<T>() + i), rest1 * gi);
      const Vec<T> vi = fma<T>(beta2, Vec<T>::load_unaligned(v.as<T>() + i), rest2 * gi * gi);
      mi.store_unaligned(m.as<T>() + i);
      vi.store_unaligned(v.as<T>() + i);
      const Vec<T> denominator = fma<T>(xsimd::sqrt(vi), root, eps);
      const Vec<T> pi = Vec<T>::load_unaligned(p.as<T>() + i);
      (pi * keep - rate * mi / denominator).store_unaligned(p.as<T>() + i);
    }
  });
