  // There are two pieces at least, also of a loop within a piece.
  const int64_t pieces = std::min<int64_t>(std::max<int64_t>(max_pieces(), 2), n / std::max<int64_t>(grain, 1));
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  } else if (n > 0) {
    body(context, 0, n);
  }
