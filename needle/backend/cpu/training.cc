// AdamW as one pass.  (Lessons 04 and 05)
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

/// Reads p, g, m, v once and writes p, m, v once: 28 bytes per float32 parameter is the limit.
template <class T>
void adamw_as(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v) {
  const Vec<T> beta1(static_cast<T>(step.beta1)), rest1(static_cast<T>(1 - step.beta1));
  const Vec<T> beta2(static_cast<T>(step.beta2)), rest2(static_cast<T>(1 - step.beta2));
  const Vec<T> keep(static_cast<T>(1 - step.lr * step.weight_decay));
  const Vec<T> rate(static_cast<T>(step.lr / step.correction1));
  const Vec<T> root(static_cast<T>(1 / std::sqrt(step.correction2)));
  const Vec<T> eps(static_cast<T>(step.eps));
  // BEGIN SOLUTION hw2.adamw
  parallel_for(p.size(), 16384, [&](int64_t begin, int64_t end) {
    T* ps = p.as<T>() + begin;
    T* ms = m.as<T>() + begin;
    T* vs = v.as<T>() + begin;
    const T* gs = g.as<T>() + begin;
    vectors<T>(end - begin, [&](auto load, auto store) {
      const Vec<T> gi = load(gs, T(0));
      const Vec<T> mi = fma<T>(beta1, load(ms, T(0)), rest1 * gi);
      const Vec<T> vi = fma<T>(beta2, load(vs, T(0)), rest2 * gi * gi);
      store(ms, mi);
      store(vs, vi);
      const Vec<T> denominator = fma<T>(xsimd::sqrt(vi), root, eps);
      store(ps, load(ps, T(0)) * keep - rate * mi / denominator);
    });
  });
  // END SOLUTION
}

}  // namespace

void adamw(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v) {
  visit_floating(p.dtype,
                 [&](auto tag) { adamw_as<typename decltype(tag)::type>(step, p, g, m, v); });
}

}  // namespace needle::NEEDLE_ISA
