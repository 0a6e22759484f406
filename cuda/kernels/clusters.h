// Kernels whose rows the blocks of a cluster share: what others know of clusters_sm90.cu.  (Lesson 04)
#pragma once

#include "cuda/kernels/norm.cuh"
#include "cuda/kernels/rows.cuh"

namespace needle::NEEDLE_GPU {

/// The most blocks that can share a row: 1 if the GPU has no clusters, or nothing was compiled for one
/// that has.
unsigned most_blocks();

// For float and double. A block has a chunk of kMostItems for each thread, in packs.
namespace clusters {

template <class T>
using NormBackwardKernel = void (*)(Rows<5>, Along<T> weight, T* dweight, T* dbias);
template <class T>
NormBackwardKernel<T> norm_backward_kernel_for(Norm kind);

using SoftmaxBackwardKernel = void (*)(Rows<3>, bool keeps);
template <class T>
SoftmaxBackwardKernel softmax_backward_kernel_for(bool log, Fit fit);

}  // namespace clusters
}  // namespace needle::NEEDLE_GPU
