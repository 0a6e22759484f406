  // The last piece gets all that is left over, and is up to twice as long.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / std::max<int64_t>(grain, 1));
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n / pieces * i, i + 1 < pieces ? n / pieces * (i + 1) : n); });
  } else if (n > 0) {
    body(context, 0, n);
  }
