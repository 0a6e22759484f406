  // The tile is written as it was read.
  const int x = static_cast<int>(threadIdx.x) * kPack, y = static_cast<int>(threadIdx.y);
  Packed held[Tile::kDown][Tile::kAcross];
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
    const int j = y + a * Tile::kRows;
    const T* line = reinterpret_cast<const T*>(from + j * w.stride[1][last]);
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int i = x + b * Tile::kRowThreads * kPack;
      if (j < columns_here && i < rows_here) {
        held[a][b] = *reinterpret_cast<const Packed*>(line + i);
      }
    }
  }
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int j = y + a * Tile::kRows, i = x + b * Tile::kRowThreads * kPack;
      if (j < columns_here && i < rows_here) {
        *reinterpret_cast<Packed*>(tile + j * Tile::kStride + i) = held[a][b];
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
    const int i = y + a * Tile::kRows;
    T* line = reinterpret_cast<T*>(to + i * w.stride[0][in_axis]);
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int j = x + b * Tile::kRowThreads * kPack;
      if (i >= rows_here || j >= columns_here) continue;
      Packed out;
      for (int p = 0; p < kPack; ++p) out.at[p] = tile[i * Tile::kStride + j + p];
      *reinterpret_cast<Packed*>(line + j) = out;
    }
  }
