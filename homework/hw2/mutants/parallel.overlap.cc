  // Neighbouring pieces share an element.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / std::max<int64_t>(grain, 1));
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, std::min(n, n * (i + 1) / pieces + 1)); });
  } else if (n > 0) {
    body(context, 0, n);
  }
