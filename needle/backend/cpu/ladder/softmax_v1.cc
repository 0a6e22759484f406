// softmax v1: three passes over the whole array, one element at a time.  (Lesson 04)
//
// The largest of each row, the exponentials and their sum, the quotients: 20 bytes are loaded and
// stored for an element. Found: 1.4 GB/s of the 8 bytes that are needed, a tenth of what copying
// reaches. The limit is the C library's exponential, one element at a time.
#include <cmath>
#include <limits>

#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void softmax_v1(bool /*log*/, const View& x, const View& out) {
  const RowList rows = rows_of(x, out);
  const int64_t n = rows.n;
  float* largest = static_cast<float*>(scratch(0, rows.count * sizeof(float)));
  float* sum = static_cast<float*>(scratch(1, rows.count * sizeof(float)));
  for (int64_t r = 0; r < rows.count; ++r) {
    largest[r] = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < n; ++i) {
      const float value = rows.x[r * n + i];
      largest[r] = value > largest[r] ? value : largest[r];
    }
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    sum[r] = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float e = std::exp(rows.x[r * n + i] - largest[r]);
      rows.y[r * n + i] = e;
      sum[r] += e;
    }
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    for (int64_t i = 0; i < n; ++i) rows.y[r * n + i] /= sum[r];
  }
}

}  // namespace needle::NEEDLE_ISA
