// Moving elements: fill, copy with conversion, where.  (Lesson 04)
#include <type_traits>

#include "needle/backend/cpu/stream.h"
#include "needle/backend/cpu/transpose.h"
#include "needle/backend/cpu/walk.h"

namespace needle::NEEDLE_ISA {
namespace {

template <class To, class From>
[[gnu::always_inline]] inline To convert(const From& x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_half_v<From>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Outside the range a C++ cast is undefined; x86 hardware answers with the lowest integer.
    constexpr From limit = sizeof(To) == 4 ? From(2147483648.0) : From(9223372036854775808.0);
    return x >= -limit && x < limit ? static_cast<To>(x) : static_cast<To>(limit > 0 ? -limit : 0);
  } else {
    return static_cast<To>(x);
  }
}

/// So many elements are converted at a time: the compiler makes vectors of a loop whose end it knows.
constexpr int64_t kBlock = 16;

#ifdef __F16C__  // eight at a time, with the rounding of half.h
[[gnu::always_inline]] inline void convert_block(const float* from, float16* to) {
  for (int64_t i = 0; i < kBlock; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), half);
  }
}
[[gnu::always_inline]] inline void convert_block(const float16* from, float* to) {
  for (int64_t i = 0; i < kBlock; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(half));
  }
}
#endif

template <class To, class From>
[[gnu::always_inline]] inline void convert_block(const From* __restrict from, To* __restrict to) {
  if constexpr (is_half_v<From> && !std::is_same_v<To, float>) {
    float wide[kBlock];
    convert_block(from, wide);
    convert_block(wide, to);
  } else if constexpr (is_half_v<To> && !std::is_same_v<From, float>) {
    float wide[kBlock];
    for (int64_t i = 0; i < kBlock; ++i) wide[i] = half::odd_float(from[i]);
    convert_block(wide, to);
  } else if constexpr (is_half_v<To>) {
    for (int64_t i = 0; i < kBlock; ++i) to[i].bits = convert<To>(from[i]).bits;
  } else {
    for (int64_t i = 0; i < kBlock; ++i) to[i] = convert<To>(from[i]);
  }
}

template <class To, class From>
[[gnu::noinline]] void convert_row(int64_t n, const From* __restrict from, To* __restrict to) {
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) convert_block(from + i, to + i);
  for (; i < n; ++i) to[i] = convert<To>(from[i]);
}

/// The same for elements that are apart. Where only the input's are, blocks of them become vectors:
/// a core loads two numbers in a cycle, and stores one.
template <class To, class From>
[[gnu::noinline]] void convert_apart(int64_t n, const char* from, int64_t from_step, char* to,
                                     int64_t to_step) {
  int64_t i = 0;
  const auto next = [&] {
    const From x = *reinterpret_cast<const From*>(from);
    from += from_step;
    return convert<To>(x);
  };
  if (to_step == sizeof(To)) {
    To block[8];
    for (; i + 8 <= n; i += 8, to += sizeof(block)) {
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) block[k] = next();
      std::memcpy(to, block, sizeof(block));
    }
  }
  for (; i < n; ++i, to += to_step) *reinterpret_cast<To*>(to) = next();
}

/// The axis along which the input is compact, if that is not the last, along which the output is;
/// -1 if there is none.
template <class T>
int crossing_axis(const Walk<2>& w) {
  const int last = w.ndim - 1;
  constexpr int64_t item = sizeof(T);
  if (w.stride[0][last] != item || w.stride[1][last] == item) return -1;
  for (int axis = 0; axis < last; ++axis) {
    if (w.stride[1][axis] == item) return axis;
  }
  return -1;
}

/// A cache line of elements.
template <class T>
inline constexpr int64_t kTile = int64_t{64 / sizeof(T)};

/// Whether squares of T are turned over in registers.
template <class T>
inline constexpr bool kTurned = sizeof(T) > 1;

/// What a register holds of T: pairs of numbers of two bytes go as one float.
template <class T>
using Held = std::conditional_t<sizeof(T) == 8, double, float>;

/// So many rows become one register's worth of neighbours.
template <class T>
inline constexpr int64_t kHigh = kWidth<Held<T>>* int64_t{sizeof(Held<T>) / sizeof(T)};

/// square[i] = from[...][i]: the rows of a square, turned over.
template <class T>
[[gnu::always_inline]] inline void load_square(const T* from, int64_t from_step,
                                               Vec<Held<T>>* square) {
  constexpr int64_t w = kWidth<Held<T>>;
  if constexpr (sizeof(T) > 2) {
    load_columns<T>(from, from_step, w, square);
  } else {
#pragma GCC unroll 16
    for (int64_t q = 0; q < w; ++q) {
      const T* row = from + 2 * q * from_step;
      alignas(64) uint32_t pairs[w];
      for (int64_t k = 0; k < w; ++k) pairs[k] = row[k] | uint32_t{row[from_step + k]} << 16;
      square[q] = Vec<float>::load_aligned(reinterpret_cast<const float*>(pairs));
    }
    transpose<float>(square);
  }
}

/// to[i][j] = from[j][i] for a square of kTile x kTile, in blocks that fit into the registers. The
/// lines of the side with the larger step are gone through at once: lines so far apart may share a
/// place in the cache.
template <class T>
[[gnu::always_inline]] inline void turn_tile(const T* from, int64_t from_step, T* to,
                                             int64_t to_step) {
  constexpr int64_t w = kWidth<Held<T>>, down = kTile<T> / w, across = kTile<T> / kHigh<T>;
  const bool along = from_step > to_step;
  for (int64_t s = 0; s < down * across; ++s) {
    const int64_t i = (along ? s % down : s / across) * w;
    const int64_t j = (along ? s / down : s % across) * kHigh<T>;
    Vec<Held<T>> square[w];
    load_square<T>(from + j * from_step + i, from_step, square);
#pragma GCC unroll 16
    for (int64_t k = 0; k < w; ++k) {
      square[k].store_unaligned(reinterpret_cast<Held<T>*>(to + (i + k) * to_step + j));
    }
  }
}

/// The same in whole lines of the output, so that they can go past the caches.
template <class T>
[[gnu::always_inline]] inline void turn_lines(const T* from, int64_t from_step, T* to,
                                              int64_t to_step, bool past) {
  constexpr int64_t w = kWidth<Held<T>>, across = kTile<T> / kHigh<T>;
  for (int64_t i = 0; i < kTile<T>; i += w) {
    Vec<Held<T>> square[across][w];
#pragma GCC unroll 4
    for (int64_t q = 0; q < across; ++q) {
      load_square<T>(from + q * kHigh<T> * from_step + i, from_step, square[q]);
    }
#pragma GCC unroll 16
    for (int64_t k = 0; k < w; ++k) {
#pragma GCC unroll 4
      for (int64_t q = 0; q < across; ++q) {
        T* line = to + (i + k) * to_step + q * kHigh<T>;
        StoreAt<Held<T>>{0}(Out<Held<T>>{reinterpret_cast<Held<T>*>(line), past}, square[q][k]);
      }
    }
  }
}

/// to[i][j] = from[j][i] for m x n elements, tile by tile: every cache line that comes is used whole.
template <class T>
void turn(int64_t m, int64_t n, const T* from, int64_t from_step, T* to, int64_t to_step) {
  for (int64_t top = 0; top < m; top += kTile<T>) {
    for (int64_t left = 0; left < n; left += kTile<T>) {
      const int64_t rows = least(m - top, kTile<T>), columns = least(n - left, kTile<T>);
      const T* in = from + left * from_step + top;
      T* out = to + top * to_step + left;
      if constexpr (kTurned<T>) {
        if (rows == kTile<T> && columns == kTile<T>) {
          turn_tile<T>(in, from_step, out, to_step);
          continue;
        }
      }
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) out[i * to_step + j] = in[j * from_step + i];
      }
    }
  }
}

/// Tiles of the output side by side that are written in turn, and tiles of the input that are asked for
/// ahead. On a Zen 5 these are the best of 1 to 8 and 1 to 16.
constexpr int64_t kWide = 4, kAhead = 12;

/// `turn` past the caches, for an output that does not fit into them, along the rows of the input. Memory
/// cannot guess what is read from many places: it is asked for ahead, and of `next`, which is turned
/// next, too.
template <class T>
void stream_turn(int64_t m, int64_t n, const T* from, const T* next, int64_t from_step, T* to,
                 int64_t to_step) {
  const int64_t whole_m = m / kTile<T> * kTile<T>, whole_n = n / kTile<T> * kTile<T>;
  const bool past = lead_of(to) == 0 && to_step % kTile<T> == 0;
  for (int64_t i = 0; i < whole_m; i += kTile<T>) {
    const int64_t later = i + kAhead * kTile<T>;
    const T* ahead = later < m ? from + later : next + (later - m);
    for (int64_t j = 0; j < whole_n; j += kTile<T>) {
      for (int64_t k = j; k < j + kTile<T>; ++k) __builtin_prefetch(ahead + k * from_step, 0, 2);
      turn_lines<T>(from + j * from_step + i, from_step, to + i * to_step + j, to_step, past);
    }
  }
  turn(whole_m, n - whole_n, from + whole_n * from_step, from_step, to + whole_n, to_step);
  turn(m - whole_m, n, from + whole_m, from_step, to + whole_m * to_step, to_step);
}

/// A transpose of `axis` and the last, in pieces of the output for the threads.
template <class T>
void copy_tiles(const Walk<2>& w, int axis) {
  if (w.size == 0) return;
  const int last = w.ndim - 1;
  const bool past = kTurned<T> && past_caches(w.size * int64_t{sizeof(T)});
  const int64_t rows = w.shape[axis], columns = w.shape[last];
  const int64_t tall = (past ? 64 : 1) * kTile<T>, wide = past ? kWide * kTile<T> : columns;
  const int64_t down = (rows + tall - 1) / tall, across = (columns + wide - 1) / wide;
  const int64_t to_step = w.stride[0][axis] / int64_t{sizeof(T)};
  const int64_t from_step = w.stride[1][last] / int64_t{sizeof(T)};
  const int64_t pieces = w.size / (rows * columns) * down * across;
  struct Place {
    T* to;
    const T* from;
    int64_t m, n;
  };
  const auto place_of = [&](int64_t piece) {
    const int64_t top = piece % down * tall, left = piece / down % across * wide;
    char* at[2] = {w.data[0], w.data[1]};
    int64_t rest = piece / down / across;
    for (int a = last - 1; a >= 0; --a) {
      if (a == axis) continue;
      for (int k = 0; k < 2; ++k) at[k] += rest % w.shape[a] * w.stride[k][a];
      rest /= w.shape[a];
    }
    return Place{reinterpret_cast<T*>(at[0]) + top * to_step + left,
                 reinterpret_cast<const T*>(at[1]) + left * from_step + top,
                 least(rows - top, tall), least(columns - left, wide)};
  };
  parallel_for(pieces, 1 + 16384 / (tall * wide), [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const Place p = place_of(piece);
      if constexpr (kTurned<T>) {
        if (past) {
          const T* next = place_of(least(piece + 1, end - 1)).from;
          stream_turn(p.m, p.n, p.from, next, from_step, p.to, to_step);
          continue;
        }
      }
      turn(p.m, p.n, p.from, from_step, p.to, to_step);
    }
  });
}

template <class To, class From>
void copy_as(const View& x, const View& out) {
  const auto w = walk(out, x);
  if constexpr (std::is_same_v<To, From>) {
    // Integers go through the registers as floats: they are moved, not computed with.
    using Wide = std::conditional_t<sizeof(To) == 4, float, double>;
    using Narrow = std::conditional_t<sizeof(To) == 2, uint16_t, To>;
    using T = std::conditional_t<sizeof(To) >= 4, Wide, Narrow>;
    if (const int axis = crossing_axis<T>(w); axis >= 0) return copy_tiles<T>(w, axis);
  }
  const bool past = past_caches(w.size * int64_t{sizeof(To)});
  w.parallel_rows([past](int64_t n, char* const* at, const int64_t* stride) {
    if (stride[0] == sizeof(To) && stride[1] == sizeof(From)) {
      if constexpr (std::is_same_v<To, From>) {
        const size_t bytes = static_cast<size_t>(n) * sizeof(To);
        past ? stream_bytes(at[0], at[1], static_cast<int64_t>(bytes))
             : void(std::memcpy(at[0], at[1], bytes));
      } else {
        convert_row(n, reinterpret_cast<const From*>(at[1]), reinterpret_cast<To*>(at[0]));
      }
      return;
    }
    convert_apart<To, From>(n, at[1], stride[1], at[0], stride[0]);
  });
}

/// n elements from a piece that stays in the cache.
template <class T>
void fill_row(T* to, int64_t n, T x, bool past) {
  alignas(64) T piece[kPiece];
  for (int64_t i = 0; i < least(n, kPiece); ++i) piece[i] = x;
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t bytes = least(n - i, kPiece) * int64_t{sizeof(T)};
    if (past) {
      stream_bytes(to + i, piece, bytes);
    } else {
      std::memcpy(to + i, piece, static_cast<size_t>(bytes));
    }
  }
}

/// out = condition ? a : b, all compact.
template <class T>
[[gnu::noinline]] void choose_row(int64_t n, T* __restrict out, const uint8_t* __restrict condition,
                                  const T* __restrict a, const T* __restrict b) {
  for (int64_t i = 0; i < n; ++i) {
    const T first = a[i], second = b[i];  // both are read: a loop without a branch
    out[i] = condition[i] ? first : second;
  }
}

}  // namespace

void fill(Scalar value, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T x = is_floating(out.dtype) ? static_cast<T>(value.real) : static_cast<T>(value.integer);
    const bool past = past_caches(out.size() * int64_t{sizeof(T)});
    walk(out).parallel_rows([x, past](int64_t n, char* const* at, const int64_t* stride) {
      if (stride[0] == sizeof(T)) return fill_row<T>(reinterpret_cast<T*>(at[0]), n, x, past);
      for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(at[0] + i * stride[0]) = x;
    });
  });
}

void copy(const View& x, const View& out) {
  visit_dtype(out.dtype, [&](auto to) {
    visit_dtype(x.dtype, [&](auto from) {
      using To = typename decltype(to)::type;
      using From = typename decltype(from)::type;
      // The compiler makes no vectors of bools; of bytes that are 0 or 1 it does.
      constexpr bool bytes = std::is_same_v<From, bool> && !std::is_same_v<To, bool>;
      copy_as<To, std::conditional_t<bytes, uint8_t, From>>(x, out);
    });
  });
}

void where(const View& condition, const View& a, const View& b, const View& out) {
  visit_dtype(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    walk(out, condition, a, b).parallel_rows([](int64_t n, char* const* at, const int64_t* stride) {
      constexpr int64_t item = sizeof(T);
      if (stride[0] == item && stride[1] == 1 && stride[2] == item && stride[3] == item) {
        return choose_row(n, reinterpret_cast<T*>(at[0]), reinterpret_cast<const uint8_t*>(at[1]),
                          reinterpret_cast<const T*>(at[2]), reinterpret_cast<const T*>(at[3]));
      }
      for (int64_t i = 0; i < n; ++i) {
        const bool first = *reinterpret_cast<const bool*>(at[1] + i * stride[1]);
        const char* from = first ? at[2] + i * stride[2] : at[3] + i * stride[3];
        *reinterpret_cast<T*>(at[0] + i * stride[0]) = *reinterpret_cast<const T*>(from);
      }
    });
  });
}

}  // namespace needle::NEEDLE_ISA
