// The table of the reference backend.  (Lesson 02)
#include "needle/backend/reference/reference.h"
#include "needle/backend/reference/xview.h"

namespace needle {

const Kernels reference_kernels = {
    .name = "reference",
    .fill = reference::fill,
    .copy = reference::copy,
    .unary = reference::unary,
    .unary_backward = reference::unary_backward,
    .binary = reference::binary,
    .compare = reference::compare,
    .where = reference::where,
    .reduce = reference::reduce,
    .arg_reduce = reference::arg_reduce,
    .matmul = reference::matmul,
    .conv2d = reference::conv2d,
    .conv2d_input = reference::conv2d_input,
    .conv2d_weight = reference::conv2d_weight,
    .pool_argmax = reference::pool_argmax,
    .softmax = reference::softmax,
    .softmax_backward = reference::softmax_backward,
    .norm = reference::norm,
    .norm_backward = reference::norm_backward,
    .cross_entropy = reference::cross_entropy,
    .cross_entropy_backward = reference::cross_entropy_backward,
    .gather = reference::gather,
    .scatter_rows = reference::scatter_rows,
    .rotary = reference::rotary,
    .attention = reference::attention,
    .attention_backward = reference::attention_backward,
    .adamw = reference::adamw,
    .random = reference::random,
    .dropout = reference::dropout,
};

}  // namespace needle
