// Reverse mode: walk the graph from the outputs to the leaves, adding up gradients.  (Lesson 03)
//
// Every node is visited once, after all nodes that use its output, so that its gradient is complete
// when it is passed on (Griewank & Walther, Evaluating Derivatives, chapter 3).
#include <unordered_map>
#include <unordered_set>

#include "needle/autograd/anomaly.h"
#include "needle/autograd/node.h"
#include "needle/autograd/node_map.h"

namespace needle {

std::vector<Node*> topological_order(std::span<Node* const> roots) {
  // BEGIN SOLUTION hw1.topological_order
  // Depth first; a node is finished when all its inputs are. The finishing order, reversed, puts
  // every node before its inputs. The explicit stack holds (node, next input to look at).
  std::vector<Node*> finished;
  NodeSet seen;  // a std::unordered_set, but faster
  std::vector<std::pair<Node*, size_t>> stack;
  for (Node* root : roots) {
    if (!seen.insert(root).second) continue;
    stack.emplace_back(root, 0);
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (next == node->inputs.size()) {
        finished.push_back(node);
        stack.pop_back();
        continue;
      }
      Node* input = node->inputs[next++].node.get();
      if (input && seen.insert(input).second) stack.emplace_back(input, 0);
    }
  }
  return {finished.rbegin(), finished.rend()};
  // END SOLUTION
}

namespace {

/// a + b of one shape and dtype. The op that everybody uses, add(), is built on this folder and may
/// not be used by it.
struct GradientSum final : Op {
  const char* name() const override { return "gradient_sum"; }
  Spec spec(Specs in) const override { return in[0]; }
  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    const auto add = slot(k, &Kernels::binary, name());
    if (!is_half(out.dtype())) return add(Binary::add, in[0].view(), in[1].view(), out.view());
    const NDArray sum = cast(in[0], DType::float32);
    add(Binary::add, sum.view(), cast(in[1], DType::float32).view(), sum.view());
    assign(out, sum);
  }
  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }
  Tensors gradient(const Tensor& dy, const Context&) const override { return {dy, dy}; }
};

/// Adds `term` to `sum`. Outside of create_graph the buffer is reused if nobody else sees it.
void accumulate(Tensor& sum, const Tensor& term) {
  if (!sum.defined()) {
    sum = term;
    return;
  }
  const NDArray& array = sum.value();
  if (grad_enabled() || !sum.sole_owner() || !array.is_contiguous() || is_half(array.dtype())) {
    sum = apply_op<GradientSum>({sum, term});
    return;
  }
  const Kernels& k = kernels(array.device());
  slot(k, &Kernels::binary, "add")(Binary::add, array.view(), term.value().view(), array.view());
}

/// Adds `dy` to what the user sees as .grad. Optimisers write to it and want it compact, so a
/// gradient that is a view, or that somebody else holds too, is copied first.
void keep_gradient(Node& node, Tensor dy) {
  if (node.grad.defined()) {
    accumulate(node.grad, dy);
  } else if (grad_enabled() || (dy.sole_owner() && dy.value().is_contiguous())) {
    node.grad = std::move(dy);
  } else {
    node.grad = Tensor(copy_of(dy.value()));
  }
}

void check_gradient(const Node& node, size_t i, const Tensor& gradient) {
  const Spec& spec = node.inputs[i].node->spec;
  if (gradient.shape() != spec.shape || gradient.dtype() != spec.dtype) {
    throw RuntimeError(str(node.name, ": the gradient of input ", i, " is ", gradient.dtype(), " ",
                           gradient.shape(), ", but the input is ", spec.dtype, " ", spec.shape));
  }
}

Tensor seed_gradient(const Tensor& output, const Tensor& gradient) {
  if (!output.requires_grad()) {
    throw RuntimeError("backward: this tensor needs no gradient: no input had requires_grad set");
  }
  if (!gradient.defined()) {
    if (output.size() != 1) {
      throw RuntimeError(str("backward: the tensor has shape ", output.shape(),
                             "; only one element can be differentiated without gradient="));
    }
    return Tensor(filled(output.shape(), 1, output.dtype(), output.device()));
  }
  if (gradient.shape() != output.shape() || gradient.dtype() != output.dtype()) {
    throw ValueError(str("backward: gradient= is ", gradient.dtype(), " ", gradient.shape(),
                         ", but the tensor is ", output.dtype(), " ", output.shape()));
  }
  return gradient;
}

/// What register_hook() left: each hook sees the gradient, and may put another in its place.
Tensor run_hooks(const Node& node, Tensor dy) {
  const Node::Details* details = node.details_if_any();
  if (!details || details->hooks.empty()) return dy;
  const auto hooks = details->hooks;  // a copy: a hook may remove itself
  for (const auto& [id, hook] : hooks) {
    const Tensor other = hook(dy);
    if (!other.defined()) continue;
    if (other.shape() != node.spec.shape || other.dtype() != node.spec.dtype) {
      throw RuntimeError(str("register_hook: the hook returned ", other.dtype(), " ", other.shape(),
                             " for a gradient that is ", node.spec.dtype, " ", node.spec.shape));
    }
    dy = other;
  }
  return dy;
}

/// The nodes whose gradients grad() was asked for.
using Captured = std::unordered_map<const Node*, Tensor>;

/// Hands a complete gradient to those who asked for it. With `captured`, nodes listed there get it
/// and no .grad is touched; otherwise leaves and nodes with keeps_grad do.
void deliver(Node& node, Tensor dy, Captured* captured) {
  if (captured) {
    const auto wanted = captured->find(&node);
    if (wanted != captured->end()) wanted->second = std::move(dy);
  } else if (node.inputs.empty() || node.keeps_grad) {
    keep_gradient(node, std::move(dy));
  }
}

/// What the node's op makes of dy: one gradient per input, undefined where nobody wants it.
Tensors input_gradients(const Node& node, const Tensor& dy) {
  if (!node.op) {
    throw RuntimeError(str(node.name, ": backward a second time through a graph that was freed; ",
                           "pass retain_graph the first time"));
  }
  Tensors gradients;
  {
    const Anomaly::Pause pause;
    gradients = node.op->gradient(dy, Context(node));
  }
  if (Anomaly::watching()) Anomaly::check_gradient(node, dy, gradients);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.inputs[i].node) gradients[i] = {};
    if (gradients[i].defined()) check_gradient(node, i, gradients[i]);
  }
  return gradients;
}

/// Runs backward from `outputs`; `captured` as in deliver().
void run_backward(const Tensors& outputs, const Tensors& gradients, BackwardOptions options,
                  Captured* captured) {
  const GradMode mode(options.create_graph);
  const bool keep = options.retain_graph || options.create_graph;
  Gradients pending;  // the sum of what has arrived at each node so far
  std::vector<Node*> roots;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor seed = seed_gradient(outputs[i], i < gradients.size() ? gradients[i] : Tensor());
    Node* root = outputs[i].node().get();
    accumulate(pending[root], seed);
    roots.push_back(root);
  }
  const std::vector<Node*> order = topological_order(roots);

  // BEGIN SOLUTION hw1.backward
  for (Node* node : order) {
    const auto found = pending.find(node);
    if (found == pending.end()) continue;  // no gradient flows here
    Tensor dy = run_hooks(*node, std::move(found->second));
    pending.erase(found);
    if (node->inputs.empty()) {
      deliver(*node, std::move(dy), captured);
      continue;
    }
    deliver(*node, dy, captured);
    Tensors partial = input_gradients(*node, dy);
    for (size_t i = 0; i < partial.size(); ++i) {
      if (!partial[i].defined()) continue;
      accumulate(pending[node->inputs[i].node.get()], std::exchange(partial[i], Tensor()));
    }
    if (!keep) node->use_up();
  }
  // END SOLUTION
}

}  // namespace

void Tensor::backward(const Tensor& gradient, BackwardOptions options) const {
  run_backward({*this}, {gradient}, options, nullptr);
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& gradients,
             BackwardOptions options) {
  Captured captured;
  for (const Tensor& input : inputs) {
    if (!input.requires_grad()) throw RuntimeError("grad: an input needs no gradient");
    captured[input.node().get()] = Tensor();
  }
  run_backward(outputs, gradients, options, &captured);
  Tensors result;
  for (const Tensor& input : inputs) result.push_back(captured[input.node().get()]);
  return result;
}

}  // namespace needle
