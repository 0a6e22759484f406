// batch_norm: every channel to mean 0 and variance 1 over the batch.  (Lesson 05)
#include "needle/backend/registry.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Moves a running statistic by `momentum` towards what the batch has.
void follow(const Tensor& running, const Tensor& batch, double momentum) {
  if (!running.defined()) return;
  const NoGrad guard;
  assign(running.value(),
         add(mul(running.detach(), 1 - momentum), mul(batch.detach(), momentum)).value());
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps) {
  if (!is_floating(x.dtype())) {
    throw TypeError(str("batch_norm: x is ", x.dtype(), ", not floating"));
  }
  if (x.ndim() < 2) {
    throw ValueError(str("batch_norm: x has shape ", x.shape(), "; wanted (n, channels, ...)"));
  }
  const int64_t channels = x.shape(1);
  for (const Tensor& each : {running_mean, running_var, weight, bias}) {
    if (each.defined() && each.shape() != Shape{channels}) {
      throw ValueError(str("batch_norm: x ", x.shape(), " with statistics or weights of shape ",
                           each.shape(), "; wanted (", channels, ",)"));
    }
  }
  Shape per_channel = Shape::filled(x.ndim(), 1);  // (1, channels, 1, ...)
  per_channel[1] = channels;
  Tensor centre = running_mean, spread = running_var;
  if (training) {
    const int64_t count = channels ? x.size() / channels : 0;
    if (count < 2) {
      throw ValueError(str("batch_norm: x ", x.shape(),
                           " has fewer than two values per channel, so no variance"));
    }
    Shape axes{0};
    for (int i = 2; i < x.ndim(); ++i) axes.push_back(i);
    centre = mean(x, axes);
    spread = var(x, axes, 0);
    const double n = static_cast<double>(count);
    follow(running_mean, centre, momentum);
    follow(running_var, mul(spread.detach(), n / (n - 1)), momentum);  // without bias
  } else if (!centre.defined() || !spread.defined()) {
    throw ValueError("batch_norm: running_mean and running_var are needed outside of training");
  }
  const auto shaped = [&](const Tensor& t) { return reshape(cast(t, x.dtype()), per_channel); };
  Tensor y = mul(sub(x, shaped(centre)), rsqrt(add(shaped(spread), eps)));
  if (weight.defined()) y = mul(y, shaped(weight));
  return bias.defined() ? add(y, shaped(bias)) : y;
}

}  // namespace needle
