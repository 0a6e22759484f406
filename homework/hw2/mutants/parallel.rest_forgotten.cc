  // All pieces have the same length; what is left over is left out.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / std::max<int64_t>(grain, 1));
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n / pieces * i, n / pieces * (i + 1)); });
  } else if (n > 0) {
    body(context, 0, n);
  }
