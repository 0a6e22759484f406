  // A grain of 0 is divided by.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / grain);
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  } else if (n > 0) {
    body(context, 0, n);
  }
