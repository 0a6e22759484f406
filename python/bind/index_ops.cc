// Operations that pick elements by index, by mask or by order.  (Lessons 06 and 07)
#include "binder.h"

namespace needle::python {

void bind_index_ops(Binder& define) {
  define(
      "gather",
      [](const In& x, int64_t axis, const In& index) {
        return released(index.tensor.size(), [&] { return gather(x.tensor, axis, index.tensor); });
      },
      "out[i, j, ...] = x[index[i, j, ...], j, ...] for axis 0, and so on.\n\n"
      "index is int64, of x's rank, and beside the axis no larger than x. IndexError out of range.",
      py::arg("axis"), py::arg("index"));
  define(
      "take_along_dim",
      [](const In& x, const In& index, const InAxes& axis, const InAxes& dim) {
        const auto one = one_axis(axis, dim);
        return released(index.tensor.size(),
                        [&] { return take_along_dim(x.tensor, index.tensor, one); });
      },
      "gather(), where the axes beside `axis` broadcast; None: of the flattened tensors.",
      py::arg("index"), axis_arg(), py::kw_only(), dim_arg());
  define(
      "index_select",
      [](const In& x, int64_t axis, const In& index) {
        return released(x.tensor.size(),
                        [&] { return index_select(x.tensor, axis, index.tensor); });
      },
      "The slices of x along an axis that index (n,) int64 names.", py::arg("axis"),
      py::arg("index"));
  define(
      "scatter_add",
      [](const In& x, int64_t axis, const In& index, const In& source) {
        return released(x.tensor.size(),
                        [&] { return scatter_add(x.tensor, axis, index.tensor, source.tensor); });
      },
      "x plus source[i, j, ...] at (index[i, j, ...], j, ...) for axis 0, and so on.\n\n"
      "Places named twice get both. x and source floating; index as for gather().",
      py::arg("axis"), py::arg("index"), py::arg("source"));
  define(
      "masked_fill",
      [](const In& x, const In& mask, double value) {
        return released(x.tensor.size(), [&] { return masked_fill(x.tensor, mask.tensor, value); });
      },
      "x with `value` where mask (bool, broadcast to x) is true.", py::arg("mask"),
      py::arg("value"));
  define(
      "sort",
      [](const In& x, int64_t axis, bool descending) {
        return released(x.tensor.size(), [&] { return sort(x.tensor, axis, descending); });
      },
      "(values, int64 indices) in order along an axis.\n\n"
      "NaN counts as the largest; equal elements keep their order. The values have a gradient.",
      py::arg("axis") = -1, py::arg("descending") = false);
  define(
      "topk",
      [](const In& x, int64_t k, int64_t axis, bool largest) {
        return released(x.tensor.size(), [&] { return topk(x.tensor, k, axis, largest); });
      },
      "(values, int64 indices) of the k largest elements along an axis, the largest first.\n\n"
      "largest=False: the smallest. ValueError if the axis has fewer than k.",
      py::arg("k"), py::arg("axis") = -1, py::arg("largest") = true);
}

}  // namespace needle::python
