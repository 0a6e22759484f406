  // There is never more than one piece.
  if (n > 0) body(context, 0, n);
