// Optimisers and learning-rate schedules.  (Lesson 05)
#pragma once

#include <map>
#include <string>
#include <vector>

#include "needle/autograd/tensor.h"

namespace needle::optim {

/// State is kept by position: parameter i of the list is parameter i of a saved state.
class Optimizer {
 public:
  /// ValueError for an empty list, a negative lr, or a parameter that needs no gradient.
  Optimizer(Tensors parameters, double lr);
  virtual ~Optimizer() = default;

  /// Moves every parameter that has a gradient, in place.
  void step();
  /// Forgets the gradients.
  void zero_grad();
  const Tensors& parameters() const { return parameters_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  /// "velocity.0", "m.3" ... -> array; only what exists. With steps(), all that a resume needs.
  std::map<std::string, NDArray> state();
  /// Copies a saved state in. ValueError for an unknown name or another shape.
  void load_state(const std::map<std::string, NDArray>& state);

  double lr;

 protected:
  /// A name and one buffer per parameter, undefined until it is needed.
  using Buffers = std::vector<NDArray>;
  virtual std::vector<std::pair<std::string, Buffers*>> buffers() = 0;
  virtual void update(size_t i, const NDArray& p, const NDArray& g) = 0;

  Tensors parameters_;
  int64_t steps_ = 0;
};

/// p -= lr * v, v = momentum * v + g + weight_decay * p (v = g without momentum); nesterov:
/// p -= lr * (g + momentum * v). Sutskever et al. 2013, as in PyTorch.
class SGD : public Optimizer {
 public:
  SGD(Tensors parameters, double lr, double momentum = 0, double weight_decay = 0,
      bool nesterov = false);

 private:
  std::vector<std::pair<std::string, Buffers*>> buffers() override {
    return {{"velocity", &velocity_}};
  }
  void update(size_t i, const NDArray& p, const NDArray& g) override;

  double momentum_, weight_decay_;
  bool nesterov_;
  Buffers velocity_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

/// Kingma & Ba (arXiv 1412.6980); weight decay added to the gradient.
class Adam : public Optimizer {
 public:
  Adam(Tensors parameters, const AdamOptions& options = {})
      : Adam(std::move(parameters), options, false) {}

 protected:
  Adam(Tensors parameters, const AdamOptions& options, bool decoupled);

 private:
  std::vector<std::pair<std::string, Buffers*>> buffers() override {
    return {{"m", &m_}, {"v", &v_}};
  }
  void update(size_t i, const NDArray& p, const NDArray& g) override;

  AdamOptions options_;
  bool decoupled_;
  Buffers m_, v_;
};

/// Loshchilov & Hutter (arXiv 1711.05101): the decay acts on the weights alone, not through the
/// moments.
class AdamW : public Adam {
 public:
  AdamW(Tensors parameters, const AdamOptions& options = {.weight_decay = 0.01})
      : Adam(std::move(parameters), options, true) {}
};

// --- schedules: the factor by which the base learning rate is multiplied at a step ---

/// 1, then gamma after every `step_size` steps.
double step_decay(int64_t step, int64_t step_size, double gamma = 0.1);
/// From 1 down to `floor` along half a cosine over `total` steps: arXiv 1608.03983.
double cosine_annealing(int64_t step, int64_t total, double floor = 0);
/// (step + 1) / warmup up to 1.
double linear_warmup(int64_t step, int64_t warmup);
/// Warm-up, then constant, then linearly to `floor` over the last `decay` of `total` steps.
double warmup_stable_decay(int64_t step, int64_t warmup, int64_t decay, int64_t total,
                           double floor = 0);

}  // namespace needle::optim
