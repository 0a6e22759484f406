// GEMM: blocks for the caches, panels for the TLB, tiles for the registers.  (Lesson 04)
//
// Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", TOMS 34(3), 2008.
// The limit is the FMA units: a tile of kRows x kColumns results stays in registers while k runs,
// so each step loads kRows + kColumns numbers for kRows * kColumns multiply-adds.
#include "needle/backend/cpu/gemm.h"

#include "needle/backend/cpu/panels.h"
#include "needle/backend/machine.h"

namespace needle::NEEDLE_ISA {
namespace {

/// sum + a * b in each lane, or the same with two products.
template <Step step, class T>
[[gnu::always_inline]] inline Vec<T> add_product(Vec<T> a, Vec<T> b, Vec<T> sum) {
  if constexpr (step == Step::kSingle) {
    return fma<T>(a, b, sum);
#ifdef __AVX512F__
  } else if constexpr (step == Step::kNativePair) {
    __m512 result = sum;  // as text: compiled for all AVX-512, run where CPUID has AVX512_BF16
    asm("vdpbf16ps %2, %1, %0" : "+v"(result) : "v"(__m512(a)), "v"(__m512(b)));
    return result;
#endif
  } else {
    using Bits = Vec<int32_t>;
    const auto first = [](Vec<T> pairs) {
      return xsimd::bitwise_cast<Vec<T>>(xsimd::bitwise_cast<Bits>(pairs) << 16);
    };
    const auto second = [](Vec<T> pairs) {
      return xsimd::bitwise_cast<Vec<T>>(xsimd::bitwise_cast<Bits>(pairs) & Bits(-65536));
    };
    return fma<T>(second(a), second(b), fma<T>(first(a), first(b), sum));
  }
}

/// C[R][kColumns] (+)= A B for one tile. Element (i, p) of A at a[i * a_row + p * a_step], row p of
/// B at b + p * b_step.
template <class T, Step step, bool packed, int R>
void tile(int64_t steps, const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step,
          T* c, int64_t c_row, bool accumulate) {
  if constexpr (packed) a_row = 1, a_step = kRows, b_step = kColumns<T>;
  // BEGIN SOLUTION hw2.tile
  using V = Vec<T>;
  constexpr int64_t w = kWidth<T>;
  V sum[R][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    sum[i][0] = sum[i][1] = V(T(0));
    // C may come from far away, and is not wanted before k has run through.
    __builtin_prefetch(c + i * c_row);
    __builtin_prefetch(c + i * c_row + 2 * w - 1);
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < steps; ++p) {
    const V b0 = V::load_unaligned(b);
    const V b1 = V::load_unaligned(b + w);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const V ai(a[i * a_row]);
      sum[i][0] = add_product<step, T>(ai, b0, sum[i][0]);
      sum[i][1] = add_product<step, T>(ai, b1, sum[i][1]);
    }
    a += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    T* out = c + i * c_row;
    if (accumulate) {
      sum[i][0] += V::load_unaligned(out);
      sum[i][1] += V::load_unaligned(out + w);
    }
    sum[i][0].store_unaligned(out);
    sum[i][1].store_unaligned(out + w);
  }
  // END SOLUTION
}

template <class T>
using Tile = void (*)(int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*, int64_t, bool);

/// tile<T, step, rows>, for rows in 1 ... kRows: the last panel of A does no more work than it has
/// rows.
template <class T, Step step, bool packed, int... I>
Tile<T> tile_of(int64_t rows, std::integer_sequence<int, I...> /*rows - 1*/) {
  static constexpr Tile<T> tiles[] = {tile<T, step, packed, I + 1>...};
  return tiles[rows - 1];
}

/// One block: A (m, k) times B (k, n) into C. `last` is the panel of the columns of B that do not
/// fill one. With `more`, the panels of the next block of A lie behind this one's: before each tile
/// some of their lines are asked for.
template <class T, Step step>
void multiply_block(int64_t m, int64_t n, int64_t steps, Panels<T> a, Panels<T> b, const T* last,
                    Matrix<T> c, bool accumulate, bool more) {
  constexpr int64_t width = kColumns<T>;
  const T* next = a.data + m / kRows * a.panel;
  const int64_t share = more ? a.panel / ((n + width - 1) / width) : 0;
  constexpr std::make_integer_sequence<int, kRows> kAll{};
  for (int64_t j = 0; j < n; j += width) {
    const int64_t columns = least(width, n - j);
    const bool whole = columns == width;
    const T* b_panel = whole ? b.data + j / width * b.panel : last;
    const int64_t b_step = whole ? b.step : width;
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = least(kRows, m - i);
      const bool packed = a.row == 1 && a.step == kRows && b_step == width;
      const Tile<T> run =
          packed ? tile_of<T, step, true>(rows, kAll) : tile_of<T, step, false>(rows, kAll);
      const T* a_panel = a.data + i / kRows * a.panel;
      ask_for<false, 2>(next, share);
      next += share;
      T* out = c.data + i * c.row + j;
      if (whole) {
        run(steps, a_panel, a.row, a.step, b_panel, b_step, out, c.row, accumulate);
        continue;
      }
      // The tile hangs over C's right edge: compute it aside.
      alignas(64) T aside[kRows * width];
      run(steps, a_panel, a.row, a.step, b_panel, b_step, aside, width, false);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t s = 0; s < columns; ++s) {
          T& element = out[r * c.row + s];
          element = accumulate ? element + aside[r * width + s] : aside[r * width + s];
        }
      }
    }
  }
}

/// How much of A, B and k is worked on at a time.
struct Blocks {
  int64_t m, n, k;
};

/// A panel of B (k x kColumns) takes an eighth of L2, a block of A (m x k) at most another, a block of B
/// (k x n) a quarter of L3; the rest is for what streams through. A tile takes so long for a step of k
/// that the step's numbers come from L2 in time, and those of the next panel of B from L3. On a Zen 5,
/// 2048 x 2048 x 2048, parts of the peak: panels of B that stay in L1, with a shorter k, so that C is
/// read and written more often, 0.79; blocks of A of half of L2, which what streams through drives out,
/// 0.84; an eighth, 0.90. `depth` elements of k lie in one T.
template <class T, int64_t depth>
Blocks blocks_for(int64_t m, int64_t n, int64_t k) {
  const Caches& cache = caches();
  constexpr int64_t item = sizeof(T);
  const int64_t steps = even_piece((k + depth - 1) / depth, cache.l2 / 8 / (kColumns<T> * item), 4);
  return {even_piece(m, cache.l2 / 8 / (steps * item) / kRows * kRows, kRows),
          even_piece(n, cache.l3 / 4 / (steps * item), kColumns<T>), steps * depth};
}

// The processors with these instructions have AVX-512: for others nothing is compiled.
#ifdef __AVX512F__
constexpr Step kWidePair = Step::kNativePair;
constexpr bool kHasTiles = true;
#else
constexpr Step kWidePair = Step::kEmulatedPair;
constexpr bool kHasTiles = false;
#endif

template <class T, class S, Step step>
void multiply_blocks(int64_t m, int64_t n, int64_t k, Matrix<const S> a, Matrix<const S> b,
                     Matrix<T> c, bool accumulate, bool threads) {
  constexpr int64_t width = kColumns<T>;
  constexpr int64_t item = sizeof(T);
  constexpr int64_t depth = depth_of(step);
  // What fits into L2 as it lies there is not worth a copy, unless the rows of B that a tile reads
  // are a round number of bytes apart and compete for a few places in L1.
  constexpr bool same = std::is_same_v<T, S>;
  const int64_t half = caches().l2 / 2;
  const bool a_stays = same && m * k * item <= half && a.column == 1;
  const bool crowded = b.row * item % 256 == 0 && k > 64;
  const bool b_stays = same && n * k * item <= half && b.column == 1 && !crowded;
  const Blocks block = a_stays && b_stays ? Blocks{m, n, k} : blocks_for<T, depth>(m, n, k);
  const int64_t most = (block.k + depth - 1) / depth;
  // A transposed A has its rows side by side: a block of them is a line or two of each of its columns.
  // As many blocks are packed at once as take a quarter of L3.
  const int64_t at_once =
      a.row != 1 ? block.m : even_piece(m, caches().l3 / 4 / (most * item), block.m);
  const int64_t a_size = a_stays ? 0 : (at_once + kRows - 1) / kRows * spaced<T>(kRows * most);
  const int64_t b_size = (b_stays ? 1 : (block.n + width - 1) / width) * spaced<T>(width * most);
  const auto room_for_b = [&] { return static_cast<T*>(scratch(0, b_size * item)); };
  T* const shared_b = room_for_b();

  for (int64_t j = 0; j < n; j += block.n) {
    const int64_t columns = least(block.n, n - j);
    const int64_t whole = columns / width * width;
    for (int64_t p = 0; p < k; p += block.k) {
      const int64_t some = least(block.k, k - p);
      const int64_t steps = (some + depth - 1) / depth;
      const int64_t a_panel = spaced<T>(kRows * steps), b_panel = spaced<T>(width * steps);
      const Shares shares(m, columns, some, kRows, width, threads);
      const Matrix<const S> b_block{b.data + p * b.row + j * b.column, b.row, b.column};
      const auto pack_some_b = [&](int64_t begin, int64_t end, T* packed_b) {
        pack_b<T, depth, width, S>(end - begin, some,
                                   {b_block.data + begin * b.column, b.row, b.column},
                                   packed_b + begin / width * b_panel, b_panel);
      };
      if (b_stays && whole < columns) {
        pack_columns<T, depth, width, S>(columns - whole, some, {b_block.data + whole, b.row, 1},
                                         shared_b);
      } else if (!b_stays && shares.together()) {
        shares.of_b([&](int64_t begin, int64_t end) { pack_some_b(begin, end, shared_b); });
      }
      shares.of_c([&](int64_t top, int64_t bottom, int64_t begin, int64_t end) {
        T* packed_b = shared_b;
        if (!b_stays && !shares.together()) pack_some_b(begin, end, packed_b = room_for_b());
        Panels<T> b_panels{packed_b + begin / width * b_panel, b_panel, 1, width};
        if constexpr (same) {
          if (b_stays) b_panels = {b_block.data + begin, width, 1, b.row};
        }
        const T* last = b_stays ? packed_b : packed_b + whole / width * b_panel;
        T* packed_a = static_cast<T*>(scratch(1, a_size * item));
        for (int64_t i = top; i < bottom; i += block.m) {
          const int64_t rows = least(block.m, bottom - i);
          const Matrix<const S> a_block{a.data + i * a.row + p * a.column, a.row, a.column};
          const int64_t into = (i - top) % at_once;
          Panels<T> a_panels{packed_a + into / kRows * a_panel, a_panel, 1, kRows};
          if constexpr (same) {
            if (a_stays) a_panels = {a_block.data, kRows * a.row, a.row, a.column};
          }
          if (!a_stays && into == 0) {
            pack_a<T, depth, S>(least(at_once, bottom - i), some, a_block, packed_a, a_panel);
          }
          multiply_block<T, step>(rows, end - begin, steps, a_panels, b_panels, last,
                                  {c.data + i * c.row + j + begin, c.row, 1}, accumulate || p > 0,
                                  !a_stays && into + block.m < at_once);
        }
      });
    }
  }
}

}  // namespace

template <class T, class S>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<const std::type_identity_t<S>> a,
          Matrix<const std::type_identity_t<S>> b, Matrix<std::type_identity_t<T>> c,
          bool accumulate, bool threads) {
  if (k == 0 && !accumulate) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) c.data[i * c.row + j] = T(0);
    }
  }
  if (m == 0 || n == 0 || k == 0) return;
  if constexpr (std::is_same_v<S, bfloat16>) {
    switch (bf16_products()) {
      case Bf16Products::widened: break;
      case Bf16Products::pairs:
        return multiply_blocks<T, S, kWidePair>(m, n, k, a, b, c, accumulate, threads);
      case Bf16Products::emulated_pairs:
        return multiply_blocks<T, S, Step::kEmulatedPair>(m, n, k, a, b, c, accumulate, threads);
      case Bf16Products::tiles:
        return multiply_tiles<kHasTiles>(m, n, k, a, b, c, accumulate, threads);
      case Bf16Products::emulated_tiles:
        return multiply_tiles<false>(m, n, k, a, b, c, accumulate, threads);
    }
  }
  multiply_blocks<T, S, Step::kSingle>(m, n, k, a, b, c, accumulate, threads);
}

template void gemm<float>(int64_t, int64_t, int64_t, Matrix<const float>, Matrix<const float>,
                          Matrix<float>, bool, bool);
template void gemm<double>(int64_t, int64_t, int64_t, Matrix<const double>, Matrix<const double>,
                           Matrix<double>, bool, bool);
template void gemm<float, float16>(int64_t, int64_t, int64_t, Matrix<const float16>,
                                   Matrix<const float16>, Matrix<float>, bool, bool);
template void gemm<float, bfloat16>(int64_t, int64_t, int64_t, Matrix<const bfloat16>,
                                    Matrix<const bfloat16>, Matrix<float>, bool, bool);

}  // namespace needle::NEEDLE_ISA
