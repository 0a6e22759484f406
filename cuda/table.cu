// The table of the GPU's kernels, and of the simulator's.  (Lesson 04)
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {

extern const Kernels table;
const Kernels table = {
#ifdef __CUDACC__
    .name = "cuda",
#else
    .name = "cuda_sim",
#endif
    .fill = fill,
    .copy = copy,
    .unary = unary,
    .unary_backward = unary_backward,
    .binary = binary,
    .compare = compare,
    .where = where,
    .reduce = reduce,
    .arg_reduce = arg_reduce,
    .matmul = matmul,
    .conv2d = conv2d,
    .conv2d_input = conv2d_input,
    .conv2d_weight = conv2d_weight,
    .pool_argmax = pool_argmax,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .norm = norm,
    .norm_backward = norm_backward,
    .cross_entropy = cross_entropy,
    .cross_entropy_backward = cross_entropy_backward,
    .gather = gather,
    .scatter_rows = scatter_rows,
    .rotary = rotary,
    .attention = attention,
    .attention_backward = attention_backward,
    .adamw = adamw,
    .random = random,
    .dropout = dropout,
};

}  // namespace needle::NEEDLE_GPU
