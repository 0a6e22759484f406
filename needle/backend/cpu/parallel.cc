// A loop, cut into pieces.  (Lesson 04)
#include "needle/backend/cpu/parallel.h"

#include <algorithm>

#include "needle/array/region.h"

namespace needle {

void run_parallel(int64_t n, int64_t grain, RangeBody body, void* context) {
  // BEGIN SOLUTION hw2.run_parallel
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(grain, 1));
  const int64_t pieces = std::min(max_pieces(), most);
  run_pieces(pieces, [&](int64_t i) { body(context, n * i / pieces, n * (i + 1) / pieces); });
  // END SOLUTION
}

}  // namespace needle
