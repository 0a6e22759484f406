// Initial values, and the gradient norm.  (Lesson 05)
#include "needle/nn/init.h"

#include <cmath>

#include "needle/backend/registry.h"

namespace needle::nn {
namespace {

struct Fans {
  double in, out;
};

Fans fans_of(const char* name, const Tensor& t) {
  if (t.ndim() < 2)
    throw ValueError(str(name, ": shape ", t.shape(), "; wanted a weight (out, in, ...)"));
  int64_t kernel = 1;
  for (int axis = 2; axis < t.ndim(); ++axis) kernel *= t.shape(axis);
  return {static_cast<double>(t.shape(1) * kernel), static_cast<double>(t.shape(0) * kernel)};
}

}  // namespace

const Tensor& uniform_(const Tensor& t, double low, double high) {
  const NoGrad guard;
  const Tensor values = rand(t.shape(), default_generator(), t.dtype(), t.device());
  assign(t.value(), add(mul(values, high - low), low).value());
  return t;
}

const Tensor& normal_(const Tensor& t, double mean, double std) {
  const NoGrad guard;
  const Tensor values = randn(t.shape(), default_generator(), t.dtype(), t.device());
  assign(t.value(), add(mul(values, std), mean).value());
  return t;
}

const Tensor& zeros_(const Tensor& t) {
  fill(t.value(), 0);
  return t;
}

const Tensor& ones_(const Tensor& t) {
  fill(t.value(), 1);
  return t;
}

const Tensor& xavier_uniform_(const Tensor& t, double gain) {
  const Fans fans = fans_of("xavier_uniform_", t);
  const double bound = gain * std::sqrt(6 / (fans.in + fans.out));
  return uniform_(t, -bound, bound);
}

const Tensor& xavier_normal_(const Tensor& t, double gain) {
  const Fans fans = fans_of("xavier_normal_", t);
  return normal_(t, 0, gain * std::sqrt(2 / (fans.in + fans.out)));
}

const Tensor& kaiming_uniform_(const Tensor& t) {
  const double bound = std::sqrt(6 / fans_of("kaiming_uniform_", t).in);
  return uniform_(t, -bound, bound);
}

const Tensor& kaiming_normal_(const Tensor& t) {
  return normal_(t, 0, std::sqrt(2 / fans_of("kaiming_normal_", t).in));
}

double clip_grad_norm_(const Tensors& parameters, double max_norm) {
  const NoGrad guard;
  double squares = 0;
  for (const Tensor& p : parameters) {
    const Tensor g = p.grad();
    if (g.defined()) squares += sum(mul(g, g)).item();
  }
  const double norm = std::sqrt(squares);
  if (!(norm > max_norm)) return norm;
  const double factor = max_norm / (norm + 1e-6);
  for (const Tensor& p : parameters) {
    const Tensor g = p.grad();
    if (!g.defined()) continue;
    const View& view = g.value().view();
    const NDArray scale = filled({}, factor, g.dtype(), g.device()).broadcast_to(g.shape());
    g.value().storage()->bump_version();
    slot(kernels(g.device()), &Kernels::binary, "mul")(Binary::mul, view, scale.view(), view);
  }
  return norm;
}

}  // namespace needle::nn
