// The sum of a row.  (Lesson 04)
//
// The limit is reading it once: 4 bytes per addition of float32. A chain of additions is as slow as the
// latency of each; several that do not wait for each other are as fast as memory.
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {

/// Pieces of 4096 elements are added up in T, the pieces in double: the error does not grow with n.
template <class T>
double row_sum(const T* x, int64_t n) {
  // BEGIN SOLUTION hw2.row_sum
  constexpr int64_t w = kWidth<T>;
  constexpr int64_t kChunk = 4096;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = least(n, begin + kChunk);
    Vec<T> a(T(0)), b(T(0)), c(T(0)), d(T(0));
    int64_t i = begin;
    for (; i + 4 * w <= end; i += 4 * w) {
      a += Vec<T>::load_unaligned(x + i);
      b += Vec<T>::load_unaligned(x + i + w);
      c += Vec<T>::load_unaligned(x + i + 2 * w);
      d += Vec<T>::load_unaligned(x + i + 3 * w);
    }
    for (; i + w <= end; i += w) a += Vec<T>::load_unaligned(x + i);
    if (i < end) a += load_part<T>(x + i, end - i, T(0));
    total += hsum<T>((a + b) + (c + d));
  }
  return total;
  // END SOLUTION
}

template double row_sum(const float*, int64_t);
template double row_sum(const double*, int64_t);

}  // namespace needle::NEEDLE_ISA
