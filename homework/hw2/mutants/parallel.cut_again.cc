  // A loop within a piece is cut again.
  const int64_t pieces = std::min<int64_t>(num_threads(), n / std::max<int64_t>(grain, 1));
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  } else if (n > 0) {
    body(context, 0, n);
  }
