// sort and topk: the order of elements along an axis.  (Lesson 07)
//
// The order is found on the host and is no function with a gradient; the values are gathered by it,
// and gather has one.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// NaN counts as larger than all numbers.
template <class T>
bool smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a < b || (std::isnan(b) && !std::isnan(a));
  return a < b;
}

/// Positions of the k first elements of a row in order; equal ones keep theirs.
template <class T>
void rank(const T* row, std::vector<int64_t>& order, int64_t k, bool descending) {
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int64_t i, int64_t j) {
    if (descending ? smaller(row[j], row[i]) : smaller(row[i], row[j])) return true;
    if (descending ? smaller(row[i], row[j]) : smaller(row[j], row[i])) return false;
    return i < j;
  };
  const auto last = order.begin() + k;
  if (last != order.end()) std::nth_element(order.begin(), last, order.end(), before);
  std::sort(order.begin(), last, before);
}

/// int64 positions along `axis` of its k first elements in order.
Tensor ranks(const char* name, const Tensor& x, int axis, int64_t k, bool descending) {
  refuse_half(name, x.dtype());
  const NDArray rows = contiguous(to_device(x.value(), Device{}).transpose(axis, -1));
  const int64_t n = x.shape(axis);
  Shape shape = rows.shape();
  shape.back() = k;
  const NDArray out = NDArray::empty(shape, DType::int64);
  std::vector<int64_t> order(static_cast<size_t>(n));
  visit_arithmetic(rows.dtype(), [&]<class T>(Tag<T>) {
    for (int64_t r = 0; k > 0 && r < out.size() / k; ++r) {
      rank(rows.data<T>() + r * n, order, k, descending);
      std::copy_n(order.begin(), k, out.data<int64_t>() + r * k);
    }
  });
  return Tensor(to_device(out.transpose(axis, -1), x.device()));
}

}  // namespace

std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis, bool descending) {
  const int i = normalize_axis("sort", axis, x.ndim());
  const Tensor indices = ranks("sort", x, i, x.shape(i), descending);
  return {gather(x, i, indices), indices};
}

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  const int i = normalize_axis("topk", axis, x.ndim());
  if (k < 0 || k > x.shape(i)) {
    throw ValueError(
        str("topk: k = ", k, ", but axis ", i, " of ", x.shape(), " has size ", x.shape(i)));
  }
  const Tensor indices = ranks("topk", x, i, k, largest);
  return {gather(x, i, indices), indices};
}

}  // namespace needle
