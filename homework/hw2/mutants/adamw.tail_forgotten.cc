  // Whole vectors alone.
  parallel_for(p.size(), 16384, [&](int64_t begin, int64_t end) {
    T* ps = p.as<T>() + begin;
    T* ms = m.as<T>() + begin;
    T* vs = v.as<T>() + begin;
    const T* gs = g.as<T>() + begin;
    vectors<T>((end - begin) / kWidth<T> * kWidth<T>, [&](auto load, auto store) {
      const Vec<T> gi = load(gs, T(0));
      const Vec<T> mi = fma<T>(beta1, load(ms, T(0)), rest1 * gi);
      const Vec<T> vi = fma<T>(beta2, load(vs, T(0)), rest2 * gi * gi);
      store(ms, mi);
      store(vs, vi);
      const Vec<T> denominator = fma<T>(xsimd::sqrt(vi), root, eps);
      store(ps, load(ps, T(0)) * keep - rate * mi / denominator);
    });
  });
