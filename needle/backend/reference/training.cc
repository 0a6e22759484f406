// The optimiser's step, random numbers, dropout.  (Lesson 05)
#include <cmath>

#include "needle/backend/random.h"
#include "needle/backend/reference/xview.h"

namespace needle::reference {

void adamw(const AdamWStep& step, const View& p_view, const View& g_view, const View& m_view,
           const View& v_view) {
  Reals p = reals(p_view);
  const Reals g = reals(g_view);
  Reals m = reals(m_view);
  Reals v = reals(v_view);
  for (size_t i = 0; i < p.size(); ++i) {
    const double gradient = g.flat(i);
    double& mean = m.flat(i);
    double& square = v.flat(i);
    mean = step.beta1 * mean + (1 - step.beta1) * gradient;
    square = step.beta2 * square + (1 - step.beta2) * gradient * gradient;
    const double direction =
        mean / step.correction1 / (std::sqrt(square / step.correction2) + step.eps);
    p.flat(i) -= step.lr * (direction + step.weight_decay * p.flat(i));
  }
  store(p, p_view);
  store(m, m_view);
  store(v, v_view);
}

void random(Random kind, uint64_t seed, uint64_t offset, const View& out) {
  Reals values(sizes(out.shape));
  for (size_t i = 0; i < values.size(); ++i) {
    values.flat(i) = kind == Random::uniform ? philox_uniform(seed, offset + i)
                                             : philox_normal(seed, offset + i);
  }
  store(values, out);
}

void dropout(uint64_t seed, uint64_t offset, double p, const View& x_view, const View& out) {
  Reals values = reals(x_view);
  for (size_t i = 0; i < values.size(); ++i) {
    const bool keeps = philox_uniform(seed, offset + i) >= static_cast<float>(p);
    values.flat(i) *= (keeps ? 1 : 0) / (1 - p);
  }
  store(values, out);
}

}  // namespace needle::reference
