// Kernels whose rows the blocks of a cluster share.  (Lesson 04)
//
// nvcc compiles this file for sm_90 alone, with NEEDLE_SM90 defined; without, there are no clusters.
#include "cuda/kernels/clusters.h"

#if defined(NEEDLE_SM90) || !defined(__CUDACC__)
#include "cuda/kernels/cluster.cuh"
#include "cuda/kernels/norm_backward.cuh"
#include "cuda/kernels/softmax_backward.cuh"

namespace needle::NEEDLE_GPU {
namespace clusters {

template <class T, int arrays, bool ragged = false>
using ChunkOf = Share<kMostItems<T, arrays>, 16 / sizeof(T), false, ragged>;

template <class T>
NormBackwardKernel<T> norm_backward_kernel_for(Norm kind) {
  return kind == Norm::layer ? norm_backward_kernel<T, ChunkOf<T, 4>, true, RowOfCluster>
                             : norm_backward_kernel<T, ChunkOf<T, 4>, false, RowOfCluster>;
}

template <class T>
SoftmaxBackwardKernel softmax_backward_kernel_for(bool log, Fit fit) {
  const auto find = [&]<class S>(S) {
    return log ? softmax_backward_kernel<T, S, true, RowOfCluster>
               : softmax_backward_kernel<T, S, false, RowOfCluster>;
  };
  return fit == Fit::ragged ? find(ChunkOf<T, 2, true>{}) : find(ChunkOf<T, 2>{});
}

}  // namespace clusters

unsigned most_blocks() {
  return most_blocks_of(clusters::norm_backward_kernel_for<float>(Norm::layer), kRowThreads);
}

#else

namespace needle::NEEDLE_GPU {

unsigned most_blocks() { return 1; }

namespace clusters {

template <class T>
NormBackwardKernel<T> norm_backward_kernel_for(Norm) {
  return nullptr;
}
template <class T>
SoftmaxBackwardKernel softmax_backward_kernel_for(bool, Fit) {
  return nullptr;
}

}  // namespace clusters

#endif

namespace clusters {

template NormBackwardKernel<float> norm_backward_kernel_for<float>(Norm);
template NormBackwardKernel<double> norm_backward_kernel_for<double>(Norm);
template SoftmaxBackwardKernel softmax_backward_kernel_for<float>(bool, Fit);
template SoftmaxBackwardKernel softmax_backward_kernel_for<double>(bool, Fit);

}  // namespace clusters
}  // namespace needle::NEEDLE_GPU
