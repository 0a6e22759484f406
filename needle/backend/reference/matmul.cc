// The product of matrices, by its definition.  (Lesson 02)
#include "needle/backend/reference/xview.h"

namespace needle::reference {

void matmul(const View& a_view, const View& b_view, const View& out_view) {
  const int64_t m = out_view.shape[out_view.ndim() - 2];
  const int64_t n = out_view.shape.back();
  const int64_t k = a_view.shape.back();
  Shape leading = out_view.shape;
  leading.erase(leading.ndim() - 1);
  leading.erase(leading.ndim() - 1);
  const int64_t batch = leading.size();

  Reals a = reals(a_view);
  Reals b = reals(b_view);
  a.reshape(sizes({batch, m, k}));
  b.reshape(sizes({batch, k, n}));
  Reals out(sizes({batch, m, n}));
  for (int64_t s = 0; s < batch; ++s) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        // Pointers, because indices would take most of the time.
        const double* row = a.data() + (s * m + i) * k;
        const double* column = b.data() + s * k * n + j;
        Sum sum = 0;
        for (int64_t t = 0; t < k; ++t) sum += row[t] * column[t * n];
        out(s, i, j) = sum;
      }
    }
  }
  store(out, out_view);
}

}  // namespace needle::reference
