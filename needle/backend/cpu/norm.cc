// RMS norm and layer norm, forward and backward.  (Lesson 04)
#include <cmath>
#include <limits>

#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

/// A vector of n weights as compact memory: itself, `buffer`, or `rest` everywhere if undefined.
template <class T>
const T* compact_vector(const View& v, int64_t n, T rest, T* buffer) {
  if (v.data && (v.strides[0] == 1 || n == 1)) return v.as<T>();
  for (int64_t i = 0; i < n; ++i) buffer[i] = v.data ? v.as<T>()[i * v.strides[0]] : rest;
  return buffer;
}

template <class T>
void norm_rows(Norm kind, double eps, const View& x, const View& weight, const View& bias,
               const View& out, const View& mean, const View& rstd) {
  const Rows<T> from(x);
  const Rows<T> to(out);
  const int64_t n = from.n();
  parallel_for(from.count(), row_grain(n), [&](int64_t begin, int64_t end) {
    const RowBuffers<T> buffer(4, n);
    const T* w = compact_vector<T>(weight, n, T(1), buffer[2]);
    const T* b = compact_vector<T>(bias, n, T(0), buffer[3]);
    for (int64_t r = begin; r < end; ++r) {
      const T* in = from.read(r, buffer[0]);
      const Out<T> y = to.write(r, buffer[1]);
      const T centre =
          kind == Norm::layer ? static_cast<T>(row_sum<T>(in, n) / static_cast<double>(n)) : T(0);
      // Two passes: the sum of squares about the mean cannot cancel.
      const Vec<T> c(centre);
      const T* next = from.after(r, end);
      const double squares = sum_over<T>(n, [&](auto load, Vec<T> sum) {
        load.fetch(next);
        const Vec<T> d = load(in, centre) - c;
        return fma<T>(d, d, sum);
      });
      const double variance = squares / static_cast<double>(n);
      const T scale = static_cast<T>(1 / std::sqrt(variance + eps));
      const Vec<T> s(scale);
      vectors<T>(n, [&](auto load, auto store) {
        store(y, fma<T>((load(in, T(0)) - c) * s, load(w, T(0)), load(b, T(0))));
      });
      to.finish(r, buffer[1]);
      element<T>(mean, r) = centre;
      element<T>(rstd, r) = scale;
    }
  });
}

/// With xhat = (x - mean) * rstd and g = dy * weight:
///   dx = rstd * (g - mean(g * xhat) * xhat - [layer] mean(g));  dweight = sum(dy * xhat).
template <class T>
void norm_backward_rows(Norm kind, const View& x, const View& weight, const View& mean,
                        const View& rstd, const View& dy, const View& dx, const View& dweight,
                        const View& dbias) {
  const Rows<T> xs(x);
  const Rows<T> dys(dy);
  const Rows<T> dxs(dx);
  const int64_t n = xs.n();
  const int64_t rows = xs.count();
  // Each group of rows adds into its own partial dweight and dbias. The number of groups does not
  // depend on the number of threads, so neither do the bits of the result.
  const int64_t groups = least(16, 1 + rows / 32);
  T* partial = static_cast<T*>(scratch(3, static_cast<size_t>(2 * groups * n) * sizeof(T)));
  std::memset(partial, 0, static_cast<size_t>(2 * groups * n) * sizeof(T));

  parallel_for(groups, 1 + groups * 16384 / (rows * n + 1), [&](int64_t first, int64_t last) {
    const RowBuffers<T> buffer(4, n);
    const T* w = compact_vector<T>(weight, n, T(1), buffer[3]);
    for (int64_t group = first; group < last; ++group) {
      T* dw = partial + 2 * group * n;
      T* db = dw + n;
      const int64_t begin = rows * group / groups, end = rows * (group + 1) / groups;
      for (int64_t r = begin; r < end; ++r) {
        const T* in = xs.read(r, buffer[0]);
        const T* g = dys.read(r, buffer[1]);
        const Out<T> out = dxs.write(r, buffer[2]);
        const Vec<T> c(element<T>(mean, r));
        const Vec<T> s(element<T>(rstd, r));
        Vec<T> sum_g(T(0));
        Vec<T> sum_gx(T(0));
        // One in each pass: together they hold up what else is read.
        const T *next = xs.after(r, end), *next_g = dys.after(r, end);
        vectors<T>(n, [&](auto load, auto store) {
          load.fetch(next);
          const Vec<T> gi = load(g, T(0));
          const Vec<T> xhat = (load(in, T(0)) - c) * s;
          const Vec<T> gw = gi * load(w, T(0));
          sum_g += gw;
          sum_gx = fma<T>(gw, xhat, sum_gx);
          store(dw, fma<T>(gi, xhat, load(dw, T(0))));
          store(db, load(db, T(0)) + gi);
        });
        const T inverse = T(1) / static_cast<T>(n);
        const Vec<T> mean_gx(hsum<T>(sum_gx) * inverse);
        const Vec<T> mean_g(kind == Norm::layer ? hsum<T>(sum_g) * inverse : T(0));
        vectors<T>(n, [&](auto load, auto store) {
          load.fetch(next_g);
          const Vec<T> xhat = (load(in, T(0)) - c) * s;
          store(out, s * (load(g, T(0)) * load(w, T(0)) - mean_gx * xhat - mean_g));
        });
        dxs.finish(r, buffer[2]);
      }
    }
  });
  for (int64_t group = 1; group < groups; ++group) {
    const T* more = partial + 2 * group * n;
    vectors<T>(2 * n, [&](auto load, auto store) {
      store(partial, load(partial, T(0)) + load(more, T(0)));
    });
  }
  for (int64_t i = 0; i < n; ++i) {
    if (dweight.data) dweight.as<T>()[i * dweight.strides[0]] = partial[i];
    if (dbias.data) dbias.as<T>()[i * dbias.strides[0]] = partial[n + i];
  }
}

}  // namespace

void norm(Norm kind, double eps, const View& x, const View& weight, const View& bias,
          const View& out, const View& mean, const View& rstd) {
  if (x.size() == 0) return;
  visit_floating(x.dtype, [&](auto tag) {
    norm_rows<typename decltype(tag)::type>(kind, eps, x, weight, bias, out, mean, rstd);
  });
}

void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias) {
  visit_floating(x.dtype, [&](auto tag) {
    norm_backward_rows<typename decltype(tag)::type>(kind, x, weight, mean, rstd, dy, dx, dweight,
                                                     dbias);
  });
}

}  // namespace needle::NEEDLE_ISA
