  // Right, but without the tile: what is read together is written apart.
  const int x = static_cast<int>(threadIdx.x) * kPack, y = static_cast<int>(threadIdx.y);
  for (int j = y; j < columns_here; j += Tile::kRows) {
    const T* line = reinterpret_cast<const T*>(from + j * w.stride[1][last]);
    for (int i = x; i < rows_here; i += Tile::kRowThreads * kPack) {
      for (int p = 0; p < kPack; ++p) {
        if (i + p < rows_here) reinterpret_cast<T*>(to + (i + p) * w.stride[0][in_axis])[j] = line[i + p];
      }
    }
  }
  tile[0] = T(0);
