// The layers.  (Lessons 05 and 06)
#pragma once

#include <memory>

#include "needle/nn/module.h"

namespace needle::nn {

/// A layer from one tensor to one tensor; what Sequential holds.
class Layer : public Module {
 public:
  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) { return forward(x); }
};

/// y = x W^T + b; x (..., in), W (out, in), b (out,). W and b uniform in +-1/sqrt(in).
class Linear : public Layer {
 public:
  Linear(int64_t in, int64_t out, bool bias = true);
  void members(Members& visit) override;
  Tensor forward(const Tensor& x) override;
  Tensor weight;
  Tensor bias;  // undefined without bias
};

/// Rows of weight (count, dim) by index. weight is standard normal.
class Embedding : public Layer {
 public:
  Embedding(int64_t count, int64_t dim);
  void members(Members& visit) override;
  Tensor forward(const Tensor& index) override;
  Tensor weight;
};

class RMSNorm : public Layer {
 public:
  explicit RMSNorm(int64_t dim, double eps = 1e-5);
  void members(Members& visit) override;
  Tensor forward(const Tensor& x) override;
  Tensor weight;
  double eps;
};

class LayerNorm : public Layer {
 public:
  explicit LayerNorm(int64_t dim, double eps = 1e-5);
  void members(Members& visit) override;
  Tensor forward(const Tensor& x) override;
  Tensor weight;
  Tensor bias;
  double eps;
};

class Dropout : public Layer {
 public:
  explicit Dropout(double p = 0.5) : p(p) {}
  void members(Members&) override {}
  Tensor forward(const Tensor& x) override;
  double p;
};

/// Keeps the first axis, joins the others.
class Flatten : public Layer {
 public:
  void members(Members&) override {}
  Tensor forward(const Tensor& x) override;
};

/// An elementwise function as a layer: ReLU, GELU, SiLU, Tanh, Sigmoid.
template <Tensor (*Function)(const Tensor&)>
class Activation : public Layer {
 public:
  void members(Members&) override {}
  Tensor forward(const Tensor& x) override { return Function(x); }
};
using ReLU = Activation<relu>;
using GELU = Activation<gelu>;
using SiLU = Activation<silu>;
using Tanh = Activation<tanh>;
using Sigmoid = Activation<sigmoid>;

/// One layer after the other; children are named "0", "1", ...
class Sequential : public Layer {
 public:
  explicit Sequential(std::vector<std::shared_ptr<Layer>> layers) : layers(std::move(layers)) {}
  void members(Members& visit) override;
  Tensor forward(const Tensor& x) override;
  std::vector<std::shared_ptr<Layer>> layers;
};

}  // namespace needle::nn
