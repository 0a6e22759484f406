// dropout.  (Lesson 05)
#include "needle/op/op.h"

namespace needle {

Tensor dropout(const Tensor& x, double p, bool training) {
  if (!(p >= 0 && p < 1)) throw ValueError(str("dropout: p = ", p, " is not in [0, 1)"));
  if (!training || p == 0) return x;
  const Tensor kept =
      greater_equal(rand(x.shape(), default_generator(), DType::float32, x.device()),
                    Tensor::scalar(p, DType::float32, x.device()));
  return mul(x, mul(cast(kept, x.dtype()), 1 / (1 - p)));
}

}  // namespace needle
