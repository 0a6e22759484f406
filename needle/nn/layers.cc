// The layers.  (Lessons 05 and 06)
#include "needle/nn/layers.h"

#include <cmath>

#include "needle/nn/init.h"

namespace needle::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias) : weight(parameter(zeros({out, in}))) {
  // PyTorch's default, so that a model starts alike in both.
  const double bound = in ? 1 / std::sqrt(static_cast<double>(in)) : 0;
  uniform_(weight, -bound, bound);
  if (with_bias) bias = parameter(zeros({out}));
  if (with_bias) uniform_(bias, -bound, bound);
}

void Linear::members(Members& visit) {
  visit.tensor("weight", weight);
  visit.tensor("bias", bias);
}

Tensor Linear::forward(const Tensor& x) {
  const Tensor y = matmul(x, transpose(weight, 0, 1));
  return bias.defined() ? add(y, bias) : y;
}

Embedding::Embedding(int64_t count, int64_t dim) : weight(parameter(zeros({count, dim}))) {
  normal_(weight);
}

void Embedding::members(Members& visit) { visit.tensor("weight", weight); }
Tensor Embedding::forward(const Tensor& index) { return embedding(weight, index); }

RMSNorm::RMSNorm(int64_t dim, double e) : weight(parameter(ones({dim}))), eps(e) {}
void RMSNorm::members(Members& visit) { visit.tensor("weight", weight); }
Tensor RMSNorm::forward(const Tensor& x) { return rms_norm(x, weight, eps); }

LayerNorm::LayerNorm(int64_t dim, double e)
    : weight(parameter(ones({dim}))), bias(parameter(zeros({dim}))), eps(e) {}

void LayerNorm::members(Members& visit) {
  visit.tensor("weight", weight);
  visit.tensor("bias", bias);
}

Tensor LayerNorm::forward(const Tensor& x) { return layer_norm(x, weight, bias, eps); }

Tensor Dropout::forward(const Tensor& x) { return dropout(x, p, training()); }

Tensor Flatten::forward(const Tensor& x) {
  if (x.ndim() == 0) throw ValueError("Flatten: a scalar has no first axis");
  const int64_t rows = x.shape(0);
  return reshape(x, {rows, rows ? x.size() / rows : 0});
}

void Sequential::members(Members& visit) {
  for (size_t i = 0; i < layers.size(); ++i) visit.module(std::to_string(i), *layers[i]);
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& layer : layers) y = layer->forward(y);
  return y;
}

}  // namespace needle::nn
