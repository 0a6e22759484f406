// sum v3: one sum, but of vectors.  (Lesson 04)
//
// 8 elements in a step (AVX2), which waits for the step before: 8 times v1, 34 GB/s. Found: 31 to
// 33.
#include "needle/backend/cpu/ladder/rungs.h"

namespace needle::NEEDLE_ISA {

void sum_v3(Reduce /*op*/, const View& x, const View& out) {
  const float* from = x.as<float>();
  Vec<float> sum(0.0F);
  vectors<float>(x.size(), [&](auto load, auto) { sum += load(from, 0.0F); });
  *out.as<float>() = hsum<float>(sum);
}

}  // namespace needle::NEEDLE_ISA
