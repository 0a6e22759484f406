// Matrix products of bfloat16 on AMX, where a register is a tile.  (Lesson 04)
//
// Each of the eight registers holds 16 rows of 64 bytes. One instruction, tdpbf16ps, adds to a tile of
// 16 x 16 floats the product of 16 x 32 and 32 x 16 bfloat16, which takes 16 cycles: sixteen times what
// AVX-512 does with floats. The limit is to load the operands in that time: with four tiles of C, two
// of A and two of B, each that is loaded is used twice. B's comes from the first cache, A's from the
// second. Subnormal numbers count as zeros.
#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/panels.h"
#include "needle/backend/machine.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileFloats = 16;       // in a row of a tile; also of pairs of bfloat16
constexpr int64_t kSide = 2 * kTileRows;  // of the square of C that is in registers
constexpr int64_t kRowBytes = 4 * kSide;  // of a panel of B

/// The registers, and what can be done with them. Addresses are of floats, or of pairs in their
/// place; rows are `row` elements apart.
template <bool native>
struct TileUnit;

#ifdef __AVX512F__
template <>
struct TileUnit<true> {
  TileUnit() {
    struct {
      uint8_t palette = 1, first_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~TileUnit() { asm volatile("tilerelease" ::); }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;

  template <int t>
  [[gnu::always_inline]] void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(t));
  }
  template <int t>
  [[gnu::always_inline]] void load(const float* from, int64_t row) {
    asm volatile("tileloadd (%0,%1,4), %%tmm%c2" ::"r"(from), "r"(row), "i"(t) : "memory");
  }
  template <int t>
  [[gnu::always_inline]] void store(float* to, int64_t row) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,4)" ::"r"(to), "r"(row), "i"(t) : "memory");
  }
  template <int c, int a, int b>
  [[gnu::always_inline]] void add_product() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }
};
#endif

template <>
struct TileUnit<false> {
  float tile[8][kTileRows][kTileFloats];

  template <int t>
  void zero() {
    std::memset(tile[t], 0, sizeof tile[t]);
  }
  template <int t>
  void load(const float* from, int64_t row) {
    for (int64_t i = 0; i < kTileRows; ++i) std::memcpy(tile[t][i], from + i * row, 64);
  }
  template <int t>
  void store(float* to, int64_t row) {
    for (int64_t i = 0; i < kTileRows; ++i) std::memcpy(to + i * row, tile[t][i], 64);
  }
  template <int c, int a, int b>
  void add_product() {
    const auto first = [](float pair) { return half::float_of(half::bits_of(pair) << 16); };
    const auto second = [](float pair) { return half::float_of(half::bits_of(pair) & 0xffff0000); };
    for (int64_t i = 0; i < kTileRows; ++i) {
      for (int64_t p = 0; p < kTileFloats; ++p) {
        const float pair = tile[a][i][p];
        for (int64_t j = 0; j < kTileFloats; ++j) {
          tile[c][i][j] += first(pair) * first(tile[b][p][j]);
          tile[c][i][j] += second(pair) * second(tile[b][p][j]);
        }
      }
    }
  }
};

/// C (kSide, kSide) (+)= A B for `steps` pairs of k, a multiple of kTileFloats. A's rows are `steps`
/// apart, B's follow each other.
template <class Unit>
[[gnu::always_inline]] inline void square(Unit& unit, int64_t steps, const float* a, const float* b,
                                          float* c, int64_t c_row, bool accumulate) {
  float* lower = c + kTileRows * c_row;
  if (accumulate) {
    unit.template load<0>(c, c_row);
    unit.template load<1>(c + kTileFloats, c_row);
    unit.template load<2>(lower, c_row);
    unit.template load<3>(lower + kTileFloats, c_row);
  } else {
    unit.template zero<0>();
    unit.template zero<1>();
    unit.template zero<2>();
    unit.template zero<3>();
  }
  for (int64_t p = 0; p < steps; p += kTileFloats) {
    unit.template load<4>(a + p, steps);
    unit.template load<6>(b + p * kSide, kSide);
    unit.template add_product<0, 4, 6>();
    unit.template load<7>(b + p * kSide + kTileFloats, kSide);
    unit.template add_product<1, 4, 7>();
    unit.template load<5>(a + kTileRows * steps + p, steps);
    unit.template add_product<2, 5, 6>();
    unit.template add_product<3, 5, 7>();
  }
  unit.template store<0>(c, c_row);
  unit.template store<1>(c + kTileFloats, c_row);
  unit.template store<2>(lower, c_row);
  unit.template store<3>(lower + kTileFloats, c_row);
}

/// Rows of A as they are, `steps` pairs each, in panels of kSide; what is missing is zeros.
void pack_pairs(int64_t m, int64_t k, Matrix<const bfloat16> a, float* out, int64_t steps) {
  constexpr int64_t w = kWidth<float>;
  const int64_t whole = a.row == 1 ? m / w * w : 0;  // rows that are turned over w at a time
  const int64_t turned = k / 2 / w * w;              // pairs of them
  std::memset(out, 0, static_cast<size_t>(round_up(m, kSide) * steps) * sizeof(float));
  for (int64_t i = 0; i < m; ++i) {
    float* to = out + i * steps;
    const bfloat16* from = a.data + i * a.row;
    if (a.column == 1) {
      std::memcpy(to, from, static_cast<size_t>(k) * sizeof(bfloat16));
      continue;
    }
    for (int64_t p = i < whole ? turned : 0; 2 * p < k; ++p) {
      to[p] = element<float, 2>(from + 2 * p * a.column, a.column, k - 2 * p);
    }
  }
  if (a.column == 1) return;
  for (int64_t p = 0; p < turned; p += w) {
    for (int64_t i = 0; i < whole; i += w) {
      alignas(64) float rows[w][w];
      Vec<float> v[w];
#pragma GCC unroll 16
      for (int64_t q = 0; q < w; ++q) {
        pack_row<float, 2>(rows[q], a.data + i + 2 * (p + q) * a.column, a.column, w);
        v[q] = Vec<float>::load_aligned(rows[q]);
      }
      transpose<float>(v);
#pragma GCC unroll 16
      for (int64_t q = 0; q < w; ++q) v[q].store_unaligned(out + (i + q) * steps + p);
    }
  }
}

/// C (m, n) (+)= A B from panels of kSide, `steps` pairs of k long.
template <class Unit>
void multiply_panels(Unit& unit, int64_t m, int64_t n, int64_t steps, const float* a,
                     const float* b, Matrix<float> c, bool accumulate) {
  for (int64_t j = 0; j < n; j += kSide) {
    for (int64_t i = 0; i < m; i += kSide) {
      const float *a_panel = a + i * steps, *b_panel = b + j * steps;
      float* out = c.data + i * c.row + j;
      const int64_t high = least(kSide, m - i), wide = least(kSide, n - j);
      if (high == kSide && wide == kSide) {
        square(unit, steps, a_panel, b_panel, out, c.row, accumulate);
        continue;
      }
      alignas(64) float aside[kSide * kSide];
      square(unit, steps, a_panel, b_panel, aside, kSide, false);
      for (int64_t r = 0; r < high; ++r) {
        for (int64_t s = 0; s < wide; ++s) {
          float& element = out[r * c.row + s];
          element = accumulate ? element + aside[r * kSide + s] : aside[r * kSide + s];
        }
      }
    }
  }
}

}  // namespace

template <bool native>
void multiply_tiles(int64_t m, int64_t n, int64_t k, Matrix<const bfloat16> a,
                    Matrix<const bfloat16> b, Matrix<float> c, bool accumulate, bool threads) {
  // Blocks: a panel of B in L1, a block of A in half of L2, one of B in a quarter of L3.
  const Caches& cache = caches();
  const int64_t depth = 2 * even_piece((k + 1) / 2, cache.l1 * 3 / 4 / kRowBytes, kTileFloats);
  const int64_t block_m = even_piece(m, cache.l2 / 2 / (2 * depth), kSide);
  const int64_t block_n = even_piece(n, cache.l3 / 4 / (2 * depth), kSide);
  const auto bytes = [&](int64_t rows) { return static_cast<size_t>(2 * depth * rows); };
  const auto room_for_b = [&] { return static_cast<float*>(scratch(0, bytes(block_n))); };
  float* const shared_b = room_for_b();

  for (int64_t left = 0; left < n; left += block_n) {
    const int64_t columns = least(block_n, n - left);
    for (int64_t p = 0; p < k; p += depth) {
      const int64_t some = least(depth, k - p);
      const int64_t filled = (some + 1) / 2, steps = round_up(filled, kTileFloats);
      const int64_t panel = steps * kSide;
      const Shares shares(m, columns, some, kSide, kSide, threads);
      const auto pack_some_b = [&](int64_t begin, int64_t end, float* packed_b) {
        const Matrix<const bfloat16> from{b.data + p * b.row + (left + begin) * b.column, b.row,
                                          b.column};
        pack_b<float, 2, kSide, bfloat16>(end - begin, some, from, packed_b + begin * steps, panel);
        for (int64_t j = begin; j < end; j += kSide) {
          std::memset(packed_b + j * steps + filled * kSide, 0,
                      static_cast<size_t>((steps - filled) * kRowBytes));
        }
      };
      if (shares.together()) {
        shares.of_b([&](int64_t begin, int64_t end) { pack_some_b(begin, end, shared_b); });
      }
      shares.of_c([&](int64_t top, int64_t bottom, int64_t begin, int64_t end) {
        float* packed_b = shared_b;
        if (!shares.together()) pack_some_b(begin, end, packed_b = room_for_b());
        TileUnit<native> unit;
        float* packed_a = static_cast<float*>(scratch(1, bytes(block_m)));
        for (int64_t i = top; i < bottom; i += block_m) {
          const int64_t rows = least(block_m, bottom - i);
          pack_pairs(rows, some, {a.data + i * a.row + p * a.column, a.row, a.column}, packed_a,
                     steps);
          multiply_panels(unit, rows, end - begin, steps, packed_a, packed_b + begin * steps,
                          {c.data + i * c.row + left + begin, c.row, 1}, accumulate || p > 0);
        }
      });
    }
  }
}

#ifdef __AVX512F__
template void multiply_tiles<true>(int64_t, int64_t, int64_t, Matrix<const bfloat16>,
                                   Matrix<const bfloat16>, Matrix<float>, bool, bool);
#endif
template void multiply_tiles<false>(int64_t, int64_t, int64_t, Matrix<const bfloat16>,
                                    Matrix<const bfloat16>, Matrix<float>, bool, bool);

}  // namespace needle::NEEDLE_ISA
