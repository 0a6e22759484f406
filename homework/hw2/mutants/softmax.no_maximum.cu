  // The largest element is not subtracted.
  Chunk<T, S> chunk;
  LogSum<T> lse;
  const auto shift = [&] {  // what is left to do is to scale it, or to take off a logarithm
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) {
      chunk.at[i] = log ? chunk.at[i] - lse.top : std::exp(chunk.at[i] - lse.top);
    }
  };
  if (S::kAgain) {
    for (int begin = 0; begin < rows.n; begin += chunk.length()) {
      chunk.load(x, rows.step[0], begin, rows.n, -INFINITY);
      lse.add(chunk);
    }
    lse.join_row();
  } else {
    chunk.load(x, rows.step[0], 0, rows.n, -INFINITY);
    lse.top = 0;
    shift();
#pragma unroll
    for (int i = 0; i < S::kItems; ++i) lse.sum += log ? std::exp(chunk.at[i]) : chunk.at[i];
    lse.sum = across_row(lse.sum, T(0), Plus{});
  }
  const T last = log ? std::log(lse.sum) : 1 / lse.sum;
  for (int begin = 0; begin < (S::kAgain ? rows.n : 1); begin += chunk.length()) {
    if (S::kAgain) {
      chunk.load(x, rows.step[0], begin, rows.n, 0);
      shift();
    }
    chunk.store(row.template data<T>(1), rows.step[1], begin, rows.n,
                [&](int i, int) { return log ? chunk.at[i] - last : chunk.at[i] * last; });
  }
