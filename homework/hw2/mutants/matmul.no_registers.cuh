  // Right, but each number is read from shared memory four times.
  for (int64_t begin = p.k_begin; begin < p.k_end; begin += kDepth) {
    for (int e = thread; e < kSide * kDepth; e += kTileThreads) {
      const int at = a_along_k ? e / kDepth : e % kSide, ak = a_along_k ? e % kDepth : e / kSide;
      const bool a_inside = row + at < p.m && begin + ak < p.k_end;
      as[ak][at] = a_inside ? a(row + at, begin + ak) : Sum(0);
      const int bt = b_along_k ? e / kDepth : e % kSide, bk = b_along_k ? e % kDepth : e / kSide;
      const bool b_inside = column + bt < p.n && begin + bk < p.k_end;
      bs[bk][bt] = b_inside ? b(begin + bk, column + bt) : Sum(0);
    }
    __syncthreads();
    for (int t = 0; t < kDepth; ++t) {
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) sum[i][j] += as[t][y + 16 * i] * bs[t][x + 16 * j];
      }
    }
    __syncthreads();
  }
