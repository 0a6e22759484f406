  // One element after the other: right, but each addition waits for the one before.
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]);
  return total;
