  // The sums of warps are read before all are there.
  __shared__ T of_warp[32];
  const int threads = static_cast<int>(blockDim.x), first = static_cast<int>(threadIdx.x);
  T top = T(-INFINITY), sum = 0;
  for (int i = first; i < rows.n; i += threads) top = std::fmax(top, x[i * rows.step[0]]);
  top = across_row(top, T(-INFINITY), Maximum{});
  for (int i = first; i < rows.n; i += threads) sum += std::exp(x[i * rows.step[0]] - top);
  sum = across_warp(sum, Plus{});
  if (threads > 32) {
    if (first % 32 == 0) of_warp[first / 32] = sum;
    sum = 0;
    for (int i = 0; i < threads / 32; ++i) sum += of_warp[i];
  }
  T* out = row.template data<T>(1);
  for (int i = first; i < rows.n; i += threads) {
    const T shifted = x[i * rows.step[0]] - top;
    out[i * rows.step[1]] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
  }
