  // Pieces may be smaller than the grain.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n);
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  } else if (n > 0) {
    body(context, 0, n);
  }
