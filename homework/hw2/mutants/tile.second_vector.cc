  // The second vector of B is the first again.
  using V = Vec<T>;
  constexpr int64_t w = kWidth<T>;
  V sum[R][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    sum[i][0] = sum[i][1] = V(T(0));
    // C may come from far away, and is not wanted before k has run through.
    __builtin_prefetch(c + i * c_row);
    __builtin_prefetch(c + i * c_row + 2 * w - 1);
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < steps; ++p) {
    const V b0 = V::load_unaligned(b);
    const V b1 = V::load_unaligned(b);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const V ai(a[i * a_row]);
      sum[i][0] = add_product<step, T>(ai, b0, sum[i][0]);
      sum[i][1] = add_product<step, T>(ai, b1, sum[i][1]);
    }
    a += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    T* out = c + i * c_row;
    if (accumulate) {
      sum[i][0] += V::load_unaligned(out);
      sum[i][1] += V::load_unaligned(out + w);
    }
    sum[i][0].store_unaligned(out);
    sum[i][1].store_unaligned(out + w);
  }
