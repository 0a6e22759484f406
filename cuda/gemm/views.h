// From arrays with batch axes to products, and back.  (Lesson 04)
#pragma once

#include <vector>

#include "cuda/gemm/problem.h"
#include "needle/array/view.h"

namespace needle::NEEDLE_GPU {

/// The products that make up out (batch..., m, n) = a (batch..., m, k) x b (batch..., k, n): as few
/// as the strides allow. Batch axes that all three walk through like one axis are one; the longest
/// of what remains is the problems', the others are walked through.
inline std::vector<Problem> problems(const View& a, const View& b, const View& out) {
  const View* views[3] = {&a, &b, &out};
  const int last = out.ndim() - 1;
  int64_t sizes[kMaxDims], strides[kMaxDims][3];
  int axes = 0;
  for (int axis = 0; axis < last - 1; ++axis) {
    const int64_t size = out.shape[axis];
    if (size == 1) continue;
    bool like_one = axes > 0;
    for (int i = 0; i < 3; ++i) {
      like_one = like_one && strides[axes - 1][i] == views[i]->strides[axis] * size;
    }
    if (!like_one) sizes[axes++] = 1;
    sizes[axes - 1] *= size;
    for (int i = 0; i < 3; ++i) strides[axes - 1][i] = views[i]->strides[axis];
  }
  int longest = 0;
  for (int axis = 1; axis < axes; ++axis) {
    if (sizes[axis] > sizes[longest]) longest = axis;
  }
  int64_t others = 1;
  for (int axis = 0; axis < axes; ++axis) others *= axis == longest ? 1 : sizes[axis];

  const auto matrices = [&](int i, int64_t offset) {
    const View& x = *views[i];
    return Matrices<void*>{static_cast<char*>(x.data) + offset * size_of(x.dtype),
                           x.strides[last - 1], x.strides[last], axes ? strides[longest][i] : 0};
  };
  std::vector<Problem> all;
  for (int64_t index = 0; index < others; ++index) {
    int64_t offset[3] = {}, left = index;
    for (int axis = axes - 1; axis >= 0; --axis) {
      if (axis == longest) continue;
      for (int i = 0; i < 3; ++i) offset[i] += left % sizes[axis] * strides[axis][i];
      left /= sizes[axis];
    }
    const auto in_a = matrices(0, offset[0]), in_b = matrices(1, offset[1]);
    all.push_back({a.dtype,
                   out.dtype,
                   out.shape[last - 1],
                   out.shape[last],
                   a.shape[last],
                   axes ? sizes[longest] : 1,
                   {in_a.data, in_a.row, in_a.column, in_a.batch},
                   {in_b.data, in_b.row, in_b.column, in_b.batch},
                   matrices(2, offset[2])});
  }
  return all;
}

}  // namespace needle::NEEDLE_GPU
