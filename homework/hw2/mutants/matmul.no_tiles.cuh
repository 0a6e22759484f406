  // Right, but each thread reads its operands from memory itself.
  for (int64_t t = p.k_begin; t < p.k_end; ++t) {
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        const bool inside = row + y + 16 * i < p.m && column + x + 16 * j < p.n;
        if (inside) sum[i][j] += a(row + y + 16 * i, t) * b(t, column + x + 16 * j);
      }
    }
  }
  as[0][0] = bs[0][0] = a_along_k || b_along_k ? Sum(0) : Sum(1);
