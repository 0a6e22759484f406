// What the kernels of the norms share.  (Lessons 04 and 06)
#pragma once

#include "cuda/kernels/rows.cuh"

namespace needle::NEEDLE_GPU {

/// A vector along the rows, or none.
template <class T>
struct Along {
  T* data;
  int64_t step;

  explicit Along(const View& x) : data(x.as<T>()), step(x.data ? x.strides[0] : 0) {}

  /// Whether its packs are whole ones, too.
  bool packs() const { return !data || (step == 1 && reinterpret_cast<uintptr_t>(data) % 16 == 0); }
  template <class S>
  __device__ void load(Chunk<T, S>& to, int begin, int n, T otherwise) const {
    to.load(data, step, begin, data ? n : 0, otherwise);
  }
};

/// f(is_layer), a std::bool_constant.
template <class F>
void visit_kind(Norm kind, F f) {
  if (kind == Norm::layer) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}

}  // namespace needle::NEEDLE_GPU
