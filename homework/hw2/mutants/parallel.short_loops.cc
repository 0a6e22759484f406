  // A loop that is shorter than the grain is not run.
  const int64_t pieces = std::min<int64_t>(max_pieces(), n / std::max<int64_t>(grain, 1));
  run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
