// softmax and cross entropy: three passes over a row that stays in cache.  (Lesson 04)
#include <cmath>
#include <limits>

#include "needle/backend/cpu/exp.h"
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

/// y = exp(x - largest); returns the sum. Meanwhile fetches the row at `next`.
template <class T>
[[gnu::always_inline]] inline double exp_row(const T* x, T* y, int64_t n, T largest,
                                             const T* next) {
  Vec<T> sum(T(0));
  const Vec<T> shift(largest);
  vectors<T>(n, [&] [[gnu::always_inline]] (auto load, auto store) {
    load.fetch(next);
    const Vec<T> e = exp<T>(load(x, -std::numeric_limits<T>::infinity()) - shift);
    store(y, e);
    sum += e;
  });
  return hsum<T>(sum);
}

/// The largest element to subtract. A row of only -inf has none: 0 keeps its exponentials 0.
template <class T>
[[gnu::always_inline]] inline T shift_of(const T* x, int64_t n) {
  const T largest = row_max<T>(x, n);
  return largest == -std::numeric_limits<T>::infinity() ? T(0) : largest;
}

template <class T>
void softmax_rows(bool log, const View& x, const View& out) {
  const Rows<T> from(x);
  const Rows<T> to(out);
  const int64_t n = from.n();
  parallel_for(from.count(), row_grain(n), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(3, n);
    for (int64_t r = begin; r < end; ++r) {
      const T* in = from.read(r, buffer[0]);
      const Out<T> y = to.write(r, buffer[1]);
      // softmax of a row of -inf is 0 / 0 = NaN, as in the reference: no largest, no shift.
      const T largest = row_max<T>(in, n);
      const double sum = exp_row<T>(in, buffer[2], n, largest, from.after(r, end));
      if (log) {
        const Vec<T> shift(largest);
        const Vec<T> log_sum(static_cast<T>(std::log(sum)));
        // In this order: the first difference is exact where it matters, near the largest element.
        vectors<T>(n, [&](auto load, auto store) { store(y, load(in, T(0)) - shift - log_sum); });
      } else {
        const T* e = buffer[2];
        const Vec<T> scale(static_cast<T>(1 / sum));
        vectors<T>(n, [&](auto load, auto store) { store(y, load(e, T(0)) * scale); });
      }
      to.finish(r, buffer[1]);
    }
  });
}

template <class T>
void softmax_backward_rows(bool log, const View& y, const View& dy, const View& dx) {
  const Rows<T> ys(y);
  const Rows<T> dys(dy);
  const Rows<T> dxs(dx);
  const int64_t n = ys.n();
  parallel_for(ys.count(), row_grain(n), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(3, n);
    for (int64_t r = begin; r < end; ++r) {
      const T* p = ys.read(r, buffer[0]);
      const T* g = dys.read(r, buffer[1]);
      const Out<T> out = dxs.write(r, buffer[2]);
      const double sum = log ? row_sum<T>(g, n) : row_dot<T>(g, p, n);
      const Vec<T> s(static_cast<T>(sum));
      const T *next = ys.after(r, end), *next_g = dys.after(r, end);
      vectors<T>(n, [&](auto load, auto store) {
        load.fetch(next);
        load.fetch(next_g);
        const Vec<T> pi = load(p, T(0));
        const Vec<T> gi = load(g, T(0));
        store(out, log ? gi - exp<T>(pi) * s : pi * (gi - s));
      });
      dxs.finish(r, buffer[2]);
    }
  });
}

constexpr int64_t kIgnored = -100;

template <class T>
void cross_entropy_rows(const View& logits, const View& labels, const View& loss, const View& lse) {
  const Rows<T> rows(logits);
  const int64_t n = rows.n();
  parallel_for(rows.count(), row_grain(n), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(2, n);
    for (int64_t r = begin; r < end; ++r) {
      const T* x = rows.read(r, buffer[0]);
      const T largest = shift_of<T>(x, n);
      const double sum = exp_row<T>(x, buffer[1], n, largest, rows.after(r, end));
      const double log_sum = static_cast<double>(largest) + std::log(sum);
      const int64_t label = element<int64_t>(labels, r);
      element<T>(lse, r) = static_cast<T>(log_sum);
      element<T>(loss, r) =
          label == kIgnored ? T(0) : static_cast<T>(log_sum - static_cast<double>(x[label]));
    }
  });
}

template <class T>
void cross_entropy_backward_rows(const View& logits, const View& labels, const View& lse,
                                 const View& dloss, const View& dlogits) {
  const Rows<T> rows(logits);
  const Rows<T> out(dlogits);
  const int64_t n = rows.n();
  parallel_for(rows.count(), row_grain(n), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(2, n);
    for (int64_t r = begin; r < end; ++r) {
      const T* x = rows.read(r, buffer[0]);
      T* dx = out.write(r, buffer[1]).data;  // changed once more below
      const int64_t label = element<int64_t>(labels, r);
      const T g = label == kIgnored ? T(0) : element<T>(dloss, r);
      const Vec<T> scale(g);
      const Vec<T> shift(element<T>(lse, r));
      vectors<T>(n, [&](auto load, auto store) {
        store(dx, label == kIgnored ? Vec<T>(T(0)) : scale * exp<T>(load(x, T(0)) - shift));
      });
      if (label != kIgnored) dx[label] -= g;
      out.finish(r, buffer[1]);
    }
  });
}

}  // namespace

void softmax(bool log, const View& x, const View& out) {
  if (x.size() == 0) return;
  visit_floating(x.dtype,
                 [&](auto tag) { softmax_rows<typename decltype(tag)::type>(log, x, out); });
}

void softmax_backward(bool log, const View& y, const View& dy, const View& dx) {
  if (y.size() == 0) return;
  visit_floating(y.dtype, [&](auto tag) {
    softmax_backward_rows<typename decltype(tag)::type>(log, y, dy, dx);
  });
}

void cross_entropy(const View& logits, const View& labels, const View& loss, const View& lse) {
  visit_floating(logits.dtype, [&](auto tag) {
    cross_entropy_rows<typename decltype(tag)::type>(logits, labels, loss, lse);
  });
}

void cross_entropy_backward(const View& logits, const View& labels, const View& lse,
                            const View& dloss, const View& dlogits) {
  visit_floating(logits.dtype, [&](auto tag) {
    cross_entropy_backward_rows<typename decltype(tag)::type>(logits, labels, lse, dloss, dlogits);
  });
}

}  // namespace needle::NEEDLE_ISA
