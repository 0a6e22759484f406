  // There is never more than one piece.
  const int64_t pieces = n > 0 ? 1 : 0;
  if (pieces > 1) {
    run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  } else if (n > 0) {
    body(context, 0, n);
  }
