// Walking over strided operands: a few long rows instead of many short ones.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"
#include "needle/backend/cpu/stream.h"

namespace needle::NEEDLE_ISA {

/// Elements for which it is worth waking a thread, a few microseconds: where little is computed for
/// each, and where an exponential is.
inline constexpr int64_t kGrain = 32768;
inline constexpr int64_t kCostlyGrain = 8192;

/// N operands of one shape. Strides in bytes, so that dtypes may differ.
template <int N>
struct Walk {
  int ndim = 0;
  int64_t size = 1;
  int64_t shape[kMaxDims];
  int64_t stride[N][kMaxDims];
  char* data[N];

  explicit Walk(const View* const (&operands)[N]) {
    const View& first = *operands[0];
    for (int k = 0; k < N; ++k) data[k] = static_cast<char*>(operands[k]->data);
    for (int axis = 0; axis < first.ndim(); ++axis) {
      size *= first.shape[axis];
      if (first.shape[axis] == 1) continue;
      // Insertion sort by operand 0's stride, largest first: the output is written in memory order.
      int at = ndim++;
      const int64_t key = magnitude(first.strides[axis]);
      const int64_t item = size_of(first.dtype);
      for (; at > 0 && magnitude(stride[0][at - 1]) < key * item; --at) {
        shape[at] = shape[at - 1];
        for (int k = 0; k < N; ++k) stride[k][at] = stride[k][at - 1];
      }
      shape[at] = first.shape[axis];
      for (int k = 0; k < N; ++k) {
        stride[k][at] = operands[k]->strides[axis] * size_of(operands[k]->dtype);
      }
    }
    join();
    if (ndim == 0) {
      ndim = 1;
      shape[0] = 1;
      for (int k = 0; k < N; ++k) stride[k][0] = 0;
    }
  }

  /// row(n, data, stride) for every stretch of the last axis within elements [begin, end).
  template <class Row>
  [[gnu::always_inline]] void rows(int64_t begin, int64_t end, Row&& row) const {
    const int last = ndim - 1;
    int64_t inner_stride[N];
    for (int k = 0; k < N; ++k) inner_stride[k] = stride[k][last];
    // Where element `begin` lies; from there on like an odometer: a division per row costs more
    // than a short row.
    int64_t column = begin % shape[last];
    int64_t rest = begin / shape[last];
    int64_t index[kMaxDims];
    char* start[N];
    for (int k = 0; k < N; ++k) start[k] = data[k];
    for (int axis = last - 1; axis >= 0; --axis) {
      index[axis] = rest % shape[axis];
      rest /= shape[axis];
      for (int k = 0; k < N; ++k) start[k] += index[axis] * stride[k][axis];
    }
    while (begin < end) {
      const int64_t n = shape[last] - column < end - begin ? shape[last] - column : end - begin;
      char* at[N];
      for (int k = 0; k < N; ++k) at[k] = start[k] + column * inner_stride[k];
      row(n, at, inner_stride);
      begin += n;
      column = 0;
      for (int axis = last - 1; axis >= 0; --axis) {
        for (int k = 0; k < N; ++k) start[k] += stride[k][axis];
        if (++index[axis] < shape[axis]) break;
        index[axis] = 0;
        for (int k = 0; k < N; ++k) start[k] -= shape[axis] * stride[k][axis];
      }
    }
  }

  /// rows over everything, by several threads if each has at least `grain` elements to do.
  template <class Row>
  [[gnu::always_inline]] void parallel_rows(Row&& row, int64_t grain = kGrain) const {
    if (size == 0) return;
    parallel_for(size, grain, [&](int64_t begin, int64_t end) { rows(begin, end, row); });
  }

 private:
  static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

  /// Two neighbouring axes are one if, in every operand, stepping past the end of the inner is a
  /// step of the outer.
  void join() {
    int kept = 0;
    for (int axis = 1; axis < ndim; ++axis) {
      bool joins = true;
      for (int k = 0; k < N; ++k) joins &= stride[k][kept] == stride[k][axis] * shape[axis];
      if (joins) {
        shape[kept] *= shape[axis];
      } else {
        shape[++kept] = shape[axis];
      }
      for (int k = 0; k < N; ++k) stride[k][kept] = stride[k][axis];
    }
    if (ndim > 0) ndim = kept + 1;
  }
};

template <class... Views>
[[gnu::always_inline]] inline Walk<sizeof...(Views)> walk(const Views&... views) {
  const View* const operands[] = {&views...};
  return Walk<sizeof...(Views)>(operands);
}

/// Strided rows are brought into short compact pieces of this many elements, worked on, and put
/// back: one compact loop per kernel, and the same bits whatever the layout.
inline constexpr int64_t kPiece = 512;

template <class T>
[[gnu::always_inline]] inline const T* gather_piece(const char* p, int64_t stride, int64_t n,
                                                    T* buffer) {
  if (stride == static_cast<int64_t>(sizeof(T))) return reinterpret_cast<const T*>(p);
  for (int64_t i = 0; i < n; ++i) buffer[i] = *reinterpret_cast<const T*>(p + i * stride);
  return buffer;
}

template <class T>
[[gnu::always_inline]] inline void scatter_piece(const T* buffer, int64_t n, char* p,
                                                 int64_t stride) {
  for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(p + i * stride) = buffer[i];
}

/// Computes n compact results of type U from n compact elements of each input.
template <class U, class T>
using Piece = void (*)(int64_t n, Out<U> out, const T* const* in);

/// out = f(in...), piece by piece. All inputs have type T; operand 0 is the output, of type U.
/// A function pointer, so that this loop is compiled once per type and not once per operation.
template <class U, class T, int N>
void pieces(const Walk<N>& w, Piece<U, T> f, int64_t grain = kGrain) {
  bool past = past_caches(w.size * int64_t{sizeof(U)});
  for (int k = 1; k < N; ++k) past &= w.data[k] != w.data[0];  // what was read is in the cache
  w.parallel_rows(
      [f, past](int64_t n, char* const* at, const int64_t* stride) {
        const bool direct = stride[0] == static_cast<int64_t>(sizeof(U));
        // Where it goes past the caches, pieces end where lines end.
        const int64_t lead = past && direct ? lead_of(reinterpret_cast<U*>(at[0])) : 0;
        bool compact = direct && lead == 0;
        const T* from[N - 1];
        for (int k = 1; k < N; ++k) {
          compact &= stride[k] == static_cast<int64_t>(sizeof(T));
          from[k - 1] = reinterpret_cast<const T*>(at[k]);
        }
        if (compact) return f(n, out_at(reinterpret_cast<U*>(at[0]), past), from);

        alignas(64) T in[N - 1][kPiece];
        alignas(64) U out[kPiece];
        // A broadcast operand is the same in every piece.
        for (int k = 1; k < N; ++k) {
          if (stride[k] != 0) continue;
          const T x = *reinterpret_cast<const T*>(at[k]);
          const int64_t m = least(n, kPiece);
          if constexpr (sizeof(T) == 1) {
            std::memset(in[k - 1], x, static_cast<size_t>(m));  // NEON has no vector of bool
          } else {
            for (int64_t i = 0; i < m; i += kWidth<T>) Vec<T>(x).store_aligned(in[k - 1] + i);
          }
        }
        for (int64_t i = 0, m = 0; i < n; i += m) {
          m = least(n - i, i == 0 && lead ? lead : kPiece);
          for (int k = 1; k < N; ++k) {
            from[k - 1] = stride[k] == 0
                              ? in[k - 1]
                              : gather_piece<T>(at[k] + i * stride[k], stride[k], m, in[k - 1]);
          }
          char* to = at[0] + i * stride[0];
          f(m, direct ? out_at(reinterpret_cast<U*>(to), past) : Out<U>{out}, from);
          if (!direct) scatter_piece<U>(out, m, to, stride[0]);
        }
      },
      grain);
}

}  // namespace needle::NEEDLE_ISA
