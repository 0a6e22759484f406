// The Tensor handle.  (Lesson 03)
#include "needle/autograd/tensor.h"

#include "needle/autograd/node.h"

namespace needle {

static thread_local bool recording = true;

bool grad_enabled() { return recording; }

GradMode::GradMode(bool enabled) : previous_(recording) { recording = enabled; }
GradMode::~GradMode() { recording = previous_; }

Tensor::Body::Body(NDArray v, Ref<Node> n) : value(std::move(v)), node(std::move(n)) {}
Tensor::Body::~Body() = default;

Tensor::Tensor(NDArray value, bool requires_grad)
    : body_(make_ref<Body>(std::move(value), Ref<Node>())) {
  if (requires_grad) set_requires_grad(true);
}

Tensor::Tensor(NDArray value, Ref<Node> node)
    : body_(make_ref<Body>(std::move(value), std::move(node))) {}

Tensor Tensor::scalar(double value, DType dtype, Device device) {
  return Tensor(filled({}, value, dtype, device));
}

double Tensor::item() const {
  if (size() != 1)
    throw ValueError(str("item: the tensor has shape ", shape(), ", not one element"));
  const NDArray host = to_device(cast(value(), DType::float64), Device{});
  return *host.data<double>();
}

bool Tensor::is_leaf() const { return !body_->node || body_->node->inputs.empty(); }

void Tensor::set_requires_grad(bool wanted) const {
  if (wanted == requires_grad()) return;
  if (!is_leaf()) throw RuntimeError("requires_grad: only a leaf's can be changed; use detach()");
  if (wanted && !is_floating(dtype())) {
    throw TypeError(str("requires_grad: only floating dtypes have gradients, not ", dtype()));
  }
  body_->node = wanted ? make_ref<Node>(Spec{shape(), dtype()}) : Ref<Node>();
}

Tensor Tensor::grad() const { return body_->node ? body_->node->grad : Tensor(); }

void Tensor::set_grad(const Tensor& grad) const {
  if (!requires_grad()) throw RuntimeError("grad: this tensor needs no gradient");
  if (grad.defined() && (grad.shape() != shape() || grad.dtype() != dtype())) {
    throw ValueError(str("grad: ", grad.dtype(), " of shape ", grad.shape(), " for a ", dtype(),
                         " tensor of shape ", shape()));
  }
  body_->node->grad = grad;
}

void Tensor::retain_grad() const {
  if (!requires_grad()) throw RuntimeError("retain_grad: this tensor needs no gradient");
  body_->node->keeps_grad = true;
}

int Tensor::register_hook(Hook hook) const {
  if (!requires_grad()) throw RuntimeError("register_hook: this tensor needs no gradient");
  Node::Details& details = body_->node->details();
  details.hooks.emplace_back(++details.hooks_so_far, std::move(hook));
  return details.hooks_so_far;
}

void Tensor::remove_hook(int id) const {
  if (!requires_grad()) return;
  std::erase_if(body_->node->details().hooks, [id](const auto& hook) { return hook.first == id; });
}

Tensor Tensor::detach() const { return Tensor(value()); }

void Tensor::set_value(const NDArray& value) const {
  if (!is_leaf()) throw RuntimeError("data: only a leaf's can be replaced; use detach()");
  ++body_->replacements;
  body_->value = value;
  if (body_->node) body_->node->spec = {value.shape(), value.dtype()};
}

}  // namespace needle
