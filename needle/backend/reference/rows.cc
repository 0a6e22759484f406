// Kernels that treat each row, the last axis, as one unit: softmax, norms, cross entropy.
// (Lessons 05 and 06)
#include <limits>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

constexpr int64_t kIgnored = -100;  // the label of a row that has no loss

// The sums of empty arrays are returned at once: xtensor would step from a null pointer.

/// (rows, n) -> (rows, 1)
Reals row_sum(const Reals& x) {
  if (x.size() == 0) return xt::zeros<double>(sizes({static_cast<int64_t>(x.shape(0)), 1}));
  return xt::cast<double>(xt::sum<Sum>(x, {1}, xt::keep_dims));
}

/// (rows, n) -> (n,)
Reals column_sum(const Reals& x) {
  if (x.size() == 0) return xt::zeros<double>({x.shape(1)});
  return xt::cast<double>(xt::sum<Sum>(x, {0}));
}

/// (rows, n) -> (rows, 1)
Reals row_mean(const Reals& x) { return row_sum(x) / static_cast<double>(x.shape(1)); }

/// The largest element of each row: (rows, n) -> (rows, 1); -inf for n = 0. Taken off before exp, so
/// that no exp overflows.
Reals row_max(const Reals& x) {
  if (x.size() == 0) {
    return Reals({x.shape(0), size_t{1}}, -std::numeric_limits<double>::infinity());
  }
  return xt::amax(x, {1}, xt::keep_dims);
}

/// (x - mean) * rstd, with the mean of an RMS norm taken as 0. mean, rstd (rows, 1).
Reals normalized(Norm kind, const Reals& x, const Reals& mean, const Reals& rstd) {
  if (kind == Norm::rms) return x * rstd;
  return (x - mean) * rstd;
}

/// The statistics of each row as a column (rows, 1), ready to be broadcast along the row.
Reals column(const View& x) {
  Reals values = reals(x);
  values.reshape(sizes({x.size(), 1}));
  return values;
}

}  // namespace

void softmax(bool log, const View& x_view, const View& out) {
  const Reals x = rows(x_view);
  const Reals shifted = x - row_max(x);
  const Reals power = xt::exp(shifted);
  if (log) {
    store(Reals(shifted - xt::log(row_sum(power))), out);
  } else {
    store(Reals(power / row_sum(power)), out);
  }
}

void softmax_backward(bool log, const View& y_view, const View& dy_view, const View& dx) {
  const Reals y = rows(y_view);
  const Reals dy = rows(dy_view);
  if (log) {
    store(Reals(dy - xt::exp(y) * row_sum(dy)), dx);
  } else {
    store(Reals(y * (dy - row_sum(dy * y))), dx);
  }
}

void norm(Norm kind, double eps, const View& x_view, const View& weight, const View& bias,
          const View& out, const View& mean_view, const View& rstd_view) {
  const Reals x = rows(x_view);
  Reals mean = row_mean(x);
  if (kind == Norm::rms) mean.fill(0);
  const Reals variance = row_mean(xt::square(x - mean));
  const Reals rstd = 1 / xt::sqrt(variance + eps);
  Reals y = normalized(kind, x, mean, rstd);
  if (weight.data) y = y * reals(weight);
  if (bias.data) y = y + reals(bias);
  store(y, out);
  if (mean_view.data) store(mean, mean_view);
  store(rstd, rstd_view);
}

void norm_backward(Norm kind, const View& x_view, const View& weight, const View& mean,
                   const View& rstd_view, const View& dy_view, const View& dx, const View& dweight,
                   const View& dbias) {
  const Reals x = rows(x_view);
  const Reals dy = rows(dy_view);
  const Reals rstd = column(rstd_view);
  const Reals xhat = normalized(kind, x, kind == Norm::rms ? rstd : column(mean), rstd);
  // y = xhat * weight + bias, and xhat depends on x directly, through rstd and through mean.
  Reals dxhat = dy;
  if (weight.data) dxhat = dy * reals(weight);
  Reals through = xhat * row_mean(dxhat * xhat);
  if (kind == Norm::layer) through = through + row_mean(dxhat);
  store(Reals(rstd * (dxhat - through)), dx);
  if (dweight.data) store(column_sum(dy * xhat), dweight);
  if (dbias.data) store(column_sum(dy), dbias);
}

void cross_entropy(const View& logits_view, const View& labels_view, const View& loss_view,
                   const View& lse_view) {
  const Reals logits = rows(logits_view);
  const Integers labels = integers(labels_view);
  const Reals top = row_max(logits);
  const Reals lse = top + xt::log(row_sum(xt::exp(logits - top)));
  Reals loss = xt::zeros<double>({labels.size()});
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels(i) != kIgnored) loss(i) = lse(i, 0) - logits(i, labels(i));
  }
  store(loss, loss_view);
  store(lse, lse_view);
}

void cross_entropy_backward(const View& logits_view, const View& labels_view, const View& lse,
                            const View& dloss_view, const View& dlogits_view) {
  const Reals logits = rows(logits_view);
  const Integers labels = integers(labels_view);
  const Reals dloss = reals(dloss_view);
  Reals dlogits = xt::exp(logits - column(lse));
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels(i) == kIgnored) {
      xt::row(dlogits, i).fill(0);
    } else {
      dlogits(i, labels(i)) -= 1;
      xt::row(dlogits, i) *= dloss(i);
    }
  }
  store(dlogits, dlogits_view);
}

}  // namespace needle::reference
