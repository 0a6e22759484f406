// Initial values of weights, written in place.  (Lesson 05)
#pragma once

#include "needle/op/op.h"

namespace needle::nn {

/// Each returns `t`. fan_in and fan_out of a weight (out, in, ...) include the kernel axes.
const Tensor& uniform_(const Tensor& t, double low = 0, double high = 1);
const Tensor& normal_(const Tensor& t, double mean = 0, double std = 1);
const Tensor& zeros_(const Tensor& t);
const Tensor& ones_(const Tensor& t);
/// +-sqrt(6 / (fan_in + fan_out)): Glorot & Bengio 2010.
const Tensor& xavier_uniform_(const Tensor& t, double gain = 1);
const Tensor& xavier_normal_(const Tensor& t, double gain = 1);
/// +-sqrt(6 / fan_in), for ReLU: He et al. (arXiv 1502.01852).
const Tensor& kaiming_uniform_(const Tensor& t);
const Tensor& kaiming_normal_(const Tensor& t);

/// Scales all gradients so that their joint 2-norm is at most `max_norm`; returns the norm before.
double clip_grad_norm_(const Tensors& parameters, double max_norm);

}  // namespace needle::nn
