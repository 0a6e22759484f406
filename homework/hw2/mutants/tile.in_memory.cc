  // The sums stay in C: right, but memory is read and written at each step.
  using V = Vec<T>;
  constexpr int64_t w = kWidth<T>;
  for (int i = 0; i < R; ++i) {
    for (int64_t j = 0; j < 2 * w && !accumulate; ++j) c[i * c_row + j] = T(0);
  }
  for (int64_t p = 0; p < steps; ++p) {
    for (int i = 0; i < R; ++i) {
      for (int64_t j = 0; j < 2 * w; j += w) {
        T* out = c + i * c_row + j;
        const V sum = V::load_unaligned(out);
        const V ai(a[i * a_row + p * a_step]);
        add_product<step, T>(ai, V::load_unaligned(b + p * b_step + j), sum).store_unaligned(out);
      }
    }
  }
