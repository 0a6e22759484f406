// Looking for the first NaN or infinity.  (Lesson 03)
#include "needle/autograd/anomaly.h"

#include <cmath>

namespace needle {

constinit thread_local bool Anomaly::watching_ = false;
static thread_local std::string place_of_watch;
static std::string (*find_origin)() = nullptr;

Anomaly::Watch::Watch(const char* file, int line)
    : previous_(place_of_watch), was_watching_(watching_) {
  watching_ = true;
  place_of_watch = str("under the watch at ", file, ":", line);
}

Anomaly::Watch::~Watch() {
  watching_ = was_watching_;
  place_of_watch = previous_;
}

void Anomaly::set_origin(std::string (*function)()) { find_origin = function; }

std::string Anomaly::origin() {
  const std::string line = find_origin ? find_origin() : "";
  return line.empty() ? place_of_watch : line;
}

static bool all_finite(const NDArray& x) {
  if (!is_floating(x.dtype())) return true;
  const NDArray values = cast(to_device(x, Device{}), DType::float64);
  const auto* first = values.data<double>();
  for (int64_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(first[i])) return false;
  }
  return true;
}

void Anomaly::check_forward(const Op& op, TensorRefs inputs, const NDArray& out) {
  if (all_finite(out)) return;
  for (const TensorRef& x : inputs) {
    if (!all_finite(x->value())) return;  // it was there before
  }
  throw RuntimeError(str("detect_anomaly: ", op.name(), " ", origin(),
                         " made a NaN or infinity of finite inputs; its output has shape ",
                         out.shape()));
}

void Anomaly::check_gradient(const Node& node, const Tensor& dy, const Tensors& gradients) {
  if (!all_finite(dy.value())) return;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined() || all_finite(gradients[i].value())) continue;
    const Node::Details* details = node.details_if_any();
    const std::string from = details && !details->origin.empty()
                                 ? details->origin
                                 : "(called before detect_anomaly was switched on)";
    throw RuntimeError(str("detect_anomaly: the gradient of ", node.name, " ", from,
                           " made a NaN or infinity of finite values, for its input ", i,
                           " of shape ", gradients[i].shape()));
  }
}

}  // namespace needle
