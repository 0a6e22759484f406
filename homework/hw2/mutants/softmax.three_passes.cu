  // Right, but every pass reads the row from memory.
  const int threads = static_cast<int>(blockDim.x), first = static_cast<int>(threadIdx.x);
  T top = T(-INFINITY), sum = 0;
  for (int i = first; i < rows.n; i += threads) top = std::fmax(top, x[i * rows.step[0]]);
  top = across_row(top, T(-INFINITY), Maximum{});
  for (int i = first; i < rows.n; i += threads) sum += std::exp(x[i * rows.step[0]] - top);
  sum = across_row(sum, T(0), Plus{});
  T* out = row.template data<T>(1);
  for (int i = first; i < rows.n; i += threads) {
    const T shifted = x[i * rows.step[0]] - top;
    out[i * rows.step[1]] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
  }
