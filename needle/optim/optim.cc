// Optimisers and schedules.  (Lesson 05)
#include "needle/optim/optim.h"

#include <cmath>
#include <numbers>

#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle::optim {

Optimizer::Optimizer(Tensors parameters, double rate)
    : lr(rate), parameters_(std::move(parameters)) {
  if (parameters_.empty()) throw ValueError("optimizer: no parameters");
  if (!(lr >= 0)) throw ValueError(str("optimizer: lr ", lr, " is negative"));
  for (const Tensor& p : parameters_) {
    refuse_half("optimizer", p.dtype(),
                "keep parameters in float32, and multiply with p.astype(dtype)");
    if (!p.requires_grad())
      throw ValueError(str("optimizer: a parameter of shape ", p.shape(), " needs no gradient"));
  }
}

void Optimizer::step() {
  const NoGrad guard;
  ++steps_;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor g = parameters_[i].grad();
    if (!g.defined()) continue;
    const NDArray& p = parameters_[i].value();
    update(i, p, contiguous(g.value()));
    p.storage()->bump_version();
  }
}

void Optimizer::zero_grad() {
  for (const Tensor& p : parameters_) p.set_grad({});
}

namespace {

/// A buffer of zeros like p, made at first use.
NDArray& buffer(std::vector<NDArray>& buffers, size_t i, const NDArray& p) {
  if (!buffers[i].defined()) buffers[i] = filled(p.shape(), 0, p.dtype(), p.device());
  return buffers[i];
}

/// a = a * x + b * y, in place.
void scale_add(const NDArray& a, double x, const NDArray& b, double y) {
  const Tensor sum = add(mul(Tensor(a), x), mul(Tensor(b), y));
  assign(a, sum.value());
}

}  // namespace

std::map<std::string, NDArray> Optimizer::state() {
  std::map<std::string, NDArray> state;
  for (const auto& [name, arrays] : buffers()) {
    for (size_t i = 0; i < arrays->size(); ++i) {
      if ((*arrays)[i].defined()) state[str(name, ".", i)] = (*arrays)[i];
    }
  }
  return state;
}

void Optimizer::load_state(const std::map<std::string, NDArray>& state) {
  // Everything is checked before anything is copied.
  struct Target {
    Buffers* arrays;
    size_t i;
  };
  std::map<std::string, Target> targets;
  for (const auto& [name, arrays] : buffers()) {
    for (size_t i = 0; i < arrays->size(); ++i) targets[str(name, ".", i)] = {arrays, i};
  }
  for (const auto& [name, array] : state) {
    const auto found = targets.find(name);
    if (found == targets.end()) {
      throw ValueError(
          str("load_state: ", name, " belongs to none of the ", parameters_.size(), " parameters"));
    }
    const Shape& shape = parameters_[found->second.i].value().shape();
    if (array.shape() != shape) {
      throw ValueError(
          str("load_state: ", name, " has shape ", array.shape(), ", its parameter ", shape));
    }
  }
  for (const auto& [name, array] : state) {
    const auto [arrays, i] = targets.at(name);
    const NDArray& p = parameters_[i].value();
    assign(buffer(*arrays, i, p), to_device(array, p.device()));
  }
}

SGD::SGD(Tensors parameters, double rate, double momentum, double weight_decay, bool nesterov)
    : Optimizer(std::move(parameters), rate),
      momentum_(momentum),
      weight_decay_(weight_decay),
      nesterov_(nesterov),
      velocity_(parameters_.size()) {
  if (nesterov && momentum <= 0) throw ValueError("SGD: nesterov needs momentum > 0");
}

void SGD::update(size_t i, const NDArray& p, const NDArray& gradient) {
  // BEGIN SOLUTION hw1.sgd
  NDArray g = gradient;
  if (weight_decay_ != 0) g = add(Tensor(g), mul(Tensor(p), weight_decay_)).value();
  if (momentum_ != 0) {
    const bool first = !velocity_[i].defined();
    const NDArray& v = buffer(velocity_, i, p);
    scale_add(v, first ? 0 : momentum_, g, 1);
    g = nesterov_ ? add(Tensor(g), mul(Tensor(v), momentum_)).value() : v;
  }
  scale_add(p, 1, g, -lr);
  // END SOLUTION
}

Adam::Adam(Tensors parameters, const AdamOptions& options, bool decoupled)
    : Optimizer(std::move(parameters), options.lr),
      options_(options),
      decoupled_(decoupled),
      m_(parameters_.size()),
      v_(parameters_.size()) {
  for (double beta : {options.beta1, options.beta2}) {
    if (!(beta >= 0 && beta < 1)) throw ValueError(str("Adam: beta ", beta, " is not in [0, 1)"));
  }
}

void Adam::update(size_t i, const NDArray& p, const NDArray& gradient) {
  NDArray g = gradient;
  if (!decoupled_ && options_.weight_decay != 0) {
    g = add(Tensor(g), mul(Tensor(p), options_.weight_decay)).value();
  }
  const double t = static_cast<double>(steps_);
  const AdamWStep step{lr,
                       options_.beta1,
                       options_.beta2,
                       options_.eps,
                       decoupled_ ? options_.weight_decay : 0,
                       1 - std::pow(options_.beta1, t),
                       1 - std::pow(options_.beta2, t)};
  slot(kernels(p.device()), &Kernels::adamw, "adamw")(
      step, p.view(), g.view(), buffer(m_, i, p).view(), buffer(v_, i, p).view());
}

double step_decay(int64_t step, int64_t step_size, double gamma) {
  const int64_t drops = step / step_size;
  return std::pow(gamma, static_cast<double>(drops));
}

double cosine_annealing(int64_t step, int64_t total, double floor) {
  const double progress = std::fmin(1, static_cast<double>(step) / static_cast<double>(total));
  return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double linear_warmup(int64_t step, int64_t warmup) {
  return std::fmin(1, static_cast<double>(step + 1) / static_cast<double>(warmup));
}

double warmup_stable_decay(int64_t step, int64_t warmup, int64_t decay, int64_t total,
                           double floor) {
  const double left =
      static_cast<double>(total - step) / static_cast<double>(std::max<int64_t>(decay, 1));
  return linear_warmup(step, warmup) * std::fmax(floor, std::fmin(1, left));
}

}  // namespace needle::optim
