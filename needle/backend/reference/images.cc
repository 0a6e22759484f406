// Convolution and pooling by their definitions: every tap of every window.  (Lesson 05)
#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// The pixel under tap `tap` of window `place`, along axis 0 (height) or 1 (width). It may lie in
/// the padding.
int64_t pixel(const Windows& w, int axis, int64_t place, int64_t tap) {
  return place * w.stride[axis] + tap * w.dilation[axis] - w.padding[axis];
}

/// f(x, weight, y) with the positions of three elements, for every product x * weight that a
/// convolution adds up in y. Also the products of its gradients: each adds up two of the three in
/// the third.
template <class F>
void each_product(const Windows& w, int64_t groups, const Shape& x, const Shape& weight,
                  const Shape& y, F f) {
  const int64_t in = weight[1], out = groups ? weight[0] / groups : 0;
  for (int64_t n = 0; n < y[0]; ++n) {
    for (int64_t o = 0; o < groups * out; ++o) {
      for (int64_t place = 0; place < y[2] * y[3]; ++place) {
        for (int64_t tap = 0; tap < in * weight[2] * weight[3]; ++tap) {
          const int64_t j = tap % weight[3], i = tap / weight[3] % weight[2];
          const int64_t c = o / out * in + tap / (weight[2] * weight[3]);
          const int64_t row = pixel(w, 0, place / y[3], i);
          const int64_t column = pixel(w, 1, place % y[3], j);
          if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
          f(((n * x[1] + c) * x[2] + row) * x[3] + column, o * in * weight[2] * weight[3] + tap,
            (n * y[1] + o) * y[2] * y[3] + place);
        }
      }
    }
  }
}

using Sums = std::vector<Sum>;

void store_sums(const Sums& sums, const View& out) {
  Reals values(sizes(out.shape));
  std::copy(sums.begin(), sums.end(), values.begin());
  store(values, out);
}

}  // namespace

void conv2d(const Windows& w, int64_t groups, const View& x_view, const View& weight_view,
            const View& y_view) {
  const Reals x = reals(x_view), weight = reals(weight_view);
  Sums y(y_view.size());
  each_product(w, groups, x_view.shape, weight_view.shape, y_view.shape,
               [&](int64_t a, int64_t b, int64_t c) { y[c] += Sum{x.flat(a)} * weight.flat(b); });
  store_sums(y, y_view);
}

void conv2d_input(const Windows& w, int64_t groups, const View& dy_view, const View& weight_view,
                  const View& dx_view) {
  const Reals dy = reals(dy_view), weight = reals(weight_view);
  Sums dx(dx_view.size());
  each_product(w, groups, dx_view.shape, weight_view.shape, dy_view.shape,
               [&](int64_t a, int64_t b, int64_t c) { dx[a] += Sum{dy.flat(c)} * weight.flat(b); });
  store_sums(dx, dx_view);
}

void conv2d_weight(const Windows& w, int64_t groups, const View& dy_view, const View& x_view,
                   const View& dweight_view) {
  const Reals dy = reals(dy_view), x = reals(x_view);
  Sums dweight(dweight_view.size());
  each_product(w, groups, x_view.shape, dweight_view.shape, dy_view.shape,
               [&](int64_t a, int64_t b, int64_t c) { dweight[b] += Sum{dy.flat(c)} * x.flat(a); });
  store_sums(dweight, dweight_view);
}

void pool_argmax(const Windows& w, const View& x_view, const View& index_view) {
  const Reals x = reals(x_view);
  const Shape& from = x_view.shape;
  const Shape& to = index_view.shape;
  Integers index(sizes(to));
  for (int64_t at = 0; at < index_view.size(); ++at) {
    const int64_t plane = at / (to[2] * to[3]);
    int64_t best = -1;
    for (int64_t i = 0; i < w.kernel[0]; ++i) {
      for (int64_t j = 0; j < w.kernel[1]; ++j) {
        const int64_t row = pixel(w, 0, at / to[3] % to[2], i);
        const int64_t column = pixel(w, 1, at % to[3], j);
        if (row < 0 || row >= from[2] || column < 0 || column >= from[3]) continue;
        const int64_t here = (plane * from[2] + row) * from[3] + column;
        const double value = x.flat(here), record = best < 0 ? 0 : x.flat(best);
        if (best < 0 || value > record || (value != value && record == record)) best = here;
      }
    }
    index.flat(at) = best;
  }
  store(index, index_view);
}

}  // namespace needle::reference
