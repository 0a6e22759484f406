// Panels: what the tiles of a matrix product read, laid out in the order they read it.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/transpose.h"

namespace needle::NEEDLE_ISA {

// A tile of C is kRows x kColumns. With 32 registers: 14 x 2 vectors of sums, 2 of B, 1 of A; with
// 16: 6 x 2, 2, 1.
inline constexpr int64_t kRows = sizeof(Vec<float>) == 64 ? 14 : 6;
template <class T>
inline constexpr int64_t kColumns = 2 * kWidth<T>;

/// What a tile does with one number of A and a vector of B: a multiply-add; or, with bfloat16
/// operands, two of them. A pair of neighbours in k then takes the place of one float, in panels half
/// as large. Native: AVX-512's vdpbf16ps. Emulated: the same in a few instructions.
enum class Step { kSingle, kEmulatedPair, kNativePair };

/// How many neighbours in k one element of a panel holds.
inline constexpr int64_t depth_of(Step step) { return step == Step::kSingle ? 1 : 2; }

/// Where the panels of an operand lie: packed, or in the matrix itself.
template <class T>
struct Panels {
  const T* data;
  int64_t panel;      // from one panel to the next
  int64_t row, step;  // within a panel: to the next row of A (column of B), to the next k
};

/// One element of a panel, from `depth` neighbours in k, `next` apart; those from `left` on are zeros.
template <class T, int64_t depth, class S>
[[gnu::always_inline]] inline T element(const S* from, int64_t next, int64_t left) {
  if constexpr (depth == 1) {
    return static_cast<T>(*from);
  } else {
    const uint32_t second = left > 1 ? from[next].bits : 0;
    return __builtin_bit_cast(float, from->bits | second << 16);
  }
}

/// n elements of a panel from compact elements of S, and from the row below if they are pairs.
template <class T, int64_t depth, class S>
[[gnu::always_inline]] inline void pack_row(T* to, const S* from, int64_t next, int64_t n) {
  if constexpr (std::is_same_v<T, S>) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = element<T, depth>(from + i, next, depth);
  }
}

/// From one packed panel of so many elements to the next. A line more: a round number of pages apart,
/// what is written into all panels in turn would compete for a few places in L1.
template <class T>
inline int64_t spaced(int64_t elements) {
  return elements + 64 / static_cast<int64_t>(sizeof(T));
}

/// Asks for the lines of n elements, to read or to write them; into L1, or only into L2 (cache = 2).
template <bool write = false, int cache = 1, class T>
[[gnu::always_inline]] inline void ask_for(const T* p, int64_t n) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) {
    __builtin_prefetch(p + i, write, 4 - cache);
  }
}

/// Panels of `width` compact columns of a matrix (k, n), n in whole panels: row by row over all panels,
/// so that memory is read as one stream. The lines to be written, and the row below, are asked for.
template <class T, int64_t depth, int64_t width, class S>
void pack_streams(int64_t n, int64_t k, const S* from, int64_t row, T* out, int64_t panel) {
  for (int64_t p = 0; p < k; p += depth, from += depth * row, out += width) {
    for (int64_t j = 0; j < n; j += width) {
      T* to = out + j / width * panel;
      pack_row<T, depth>(to, from + j, row, width);
      ask_for(from + j + depth * row, width);
      ask_for<true>(to + 2 * width, width);
    }
  }
}

/// w steps of a panel of A, for which w elements of kRows rows are turned over in registers. The
/// lanes behind the last row are overwritten by what is stored next.
template <class T, int64_t depth, class S>
[[gnu::always_inline]] inline void pack_rows(const S* from, int64_t row, T* out) {
  constexpr int64_t w = kWidth<T>;
  constexpr int64_t groups = (kRows + w - 1) / w;
  Vec<T> v[groups][w];
#pragma GCC unroll 8
  for (int64_t g = 0; g < groups; ++g) {
    load_columns<T, depth>(from + g * w * row, row, least(w, kRows - g * w), v[g]);
  }
#pragma GCC unroll 16
  for (int64_t q = 0; q < w; ++q) {
#pragma GCC unroll 8
    for (int64_t g = 0; g < groups; ++g) v[g][q].store_unaligned(out + q * kRows + g * w);
  }
}

/// Panels of kRows rows of A (m, k), k-major, `panel` elements apart: spaced(), as up to kWidth are
/// written behind each.
template <class T, int64_t depth, class S>
void pack_a(int64_t m, int64_t k, Matrix<const S> a, T* out, int64_t panel) {
  const int64_t steps = (k + depth - 1) / depth, whole = k / depth;
  int64_t i = 0;
  if (a.row == 1 && k % depth == 0) {
    i = m / kRows * kRows;
    pack_streams<T, depth, kRows>(i, k, a.data, a.column, out, panel);
    out += i / kRows * panel;
  }
  for (; i < m; i += kRows, out += panel) {
    const int64_t rows = least(kRows, m - i);
    const S* from = a.data + i * a.row;
    const int64_t step = depth * a.column;
    int64_t p = 0;
    if (rows == kRows && a.column == 1) {
      for (; p + kWidth<T> <= whole; p += kWidth<T>) {
        pack_rows<T, depth>(from + p * step, a.row, out + p * kRows);
      }
    }
    for (; p < steps; ++p) {
      for (int64_t r = 0; r < rows; ++r) {
        out[p * kRows + r] =
            element<T, depth>(from + r * a.row + p * step, a.column, k - depth * p);
      }
    }
  }
}

/// One panel of B from `columns` columns; those that are missing are zeros.
template <class T, int64_t depth, int64_t width, class S>
void pack_columns(int64_t columns, int64_t k, Matrix<const S> b, T* out) {
  constexpr int64_t w = kWidth<T>;
  const int64_t steps = (k + depth - 1) / depth;
  int64_t p = 0;
  if (b.row == 1 && columns == width) {
    for (; p + w <= k / depth; p += w) {
#pragma GCC unroll 2
      for (int64_t part = 0; part < width; part += w) {
        Vec<T> v[w];
        load_columns<T, depth>(b.data + part * b.column + depth * p, b.column, w, v);
#pragma GCC unroll 16
        for (int64_t q = 0; q < w; ++q) v[q].store_aligned(out + (p + q) * width + part);
      }
    }
  }
  for (; p < steps; ++p) {
    const S* from = b.data + depth * p * b.row;
    T* to = out + p * width;
    for (int64_t c = 0; c < width; ++c) {
      to[c] = c < columns ? element<T, depth>(from + c * b.column, b.row, k - depth * p) : T(0);
    }
  }
}

/// Panels of `width` columns of B (k, n), k-major, `panel` elements apart.
template <class T, int64_t depth, int64_t width, class S>
void pack_b(int64_t n, int64_t k, Matrix<const S> b, T* out, int64_t panel) {
  int64_t j = 0;
  if (b.column == 1 && k % depth == 0) {
    j = n / width * width;
    pack_streams<T, depth, width>(j, k, b.data, b.row, out, panel);
  }
  for (; j < n; j += width) {
    pack_columns<T, depth, width, S>(
        least(width, n - j), k, {b.data + j * b.column, b.row, b.column}, out + j / width * panel);
  }
}

/// How a product C (m, n) += A B, k deep, is shared among threads: each does its part of C's longer side,
/// whole tiles of `height` rows or `width` columns, and packs what that needs of A. What it needs of B
/// may be all of it: a large one they pack together before; for a small one it takes longer to wake them
/// twice. Without `threads`, one does all.
class Shares {
 public:
  Shares(int64_t m, int64_t n, int64_t k, int64_t height, int64_t width, bool threads)
      : m_(m), n_(n), k_(k), height_(height), width_(width), threads_(threads) {
    together_ = !threads || n * k * max_pieces() >= kTogether;
  }

  /// Whether B is packed by of_b() before of_c(), or in it by every thread for itself.
  bool together() const { return together_; }

  /// pack(begin, end) over B's columns.
  template <class Pack>
  [[gnu::always_inline]] void of_b(Pack&& pack) const {
    divide(n_, width_, 1 + kElements / (width_ * k_), pack);
  }
  /// multiply(top, bottom, begin, end) over C's rows and columns.
  template <class Multiply>
  [[gnu::always_inline]] void of_c(Multiply&& multiply) const {
    const bool down = m_ >= n_;
    const int64_t side = down ? m_ : n_, tile = down ? height_ : width_;
    const int64_t tile_steps = tile * (down ? n_ : m_) * k_;
    divide(side, tile, 1 + kSteps / (tile_steps + 1), [&](int64_t from, int64_t to) {
      down ? multiply(from, to, int64_t{0}, n_) : multiply(int64_t{0}, m_, from, to);
    });
  }

 private:
  // What is worth a thread: elements to pack, multiply-adds. And elements that all pack of one B.
  static constexpr int64_t kElements = 16384, kSteps = 250000, kTogether = 1 << 20;

  /// body(from, to) over [0, side), in whole tiles.
  template <class Body>
  [[gnu::always_inline]] void divide(int64_t side, int64_t tile, int64_t grain, Body&& body) const {
    if (!threads_) return body(int64_t{0}, side);
    parallel_for((side + tile - 1) / tile, grain, [&](int64_t first, int64_t last) {
      body(first * tile, least(last * tile, side));
    });
  }

  int64_t m_, n_, k_, height_, width_;
  bool threads_, together_;
};

inline int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// n in equal pieces of about `most` at most, each a multiple of `step`: the length of a piece.
inline int64_t even_piece(int64_t n, int64_t most, int64_t step) {
  const int64_t pieces = most < step ? (n + step - 1) / step : (n + most - 1) / most;
  return round_up((n + pieces - 1) / pieces, step);
}

}  // namespace needle::NEEDLE_ISA
