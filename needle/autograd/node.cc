// How an op joins the graph, and how the graph is taken apart.  (Lesson 03)
#include "needle/autograd/node.h"

#include <algorithm>
#include <array>

namespace needle {

static Tensor restore(const SavedArray& saved, const Ref<Node>& node, const char* op,
                      const char* what) {
  if (!saved.array.defined())
    throw RuntimeError(str(op, ": its gradient did not ask for its ", what));
  if (saved.array.storage()->version() != saved.version) {
    throw RuntimeError(str(op, ": its ", what, " of shape ", saved.array.shape(),
                           " was changed in place, but backward needs the value it had"));
  }
  return Tensor(saved.array, node);
}

Tensor Context::input(int i) const {
  return restore(node_.inputs[i].saved, node_.inputs[i].node, node_.name, "input");
}

Tensor Context::output() const {
  // The node does not own a reference to itself; this one lives no longer than the gradient.
  return restore(node_.output, Ref(const_cast<Node*>(&node_)), node_.name, "output");
}

const Spec& Context::spec(int i) const { return node_.inputs[i].spec; }
bool Context::wants(int i) const { return static_cast<bool>(node_.inputs[i].node); }
int Context::inputs() const { return static_cast<int>(node_.inputs.size()); }

NDArray Op::run(Arrays inputs) {
  std::array<Spec, 16> few;
  std::vector<Spec> many;
  if (inputs.size() > few.size()) many.resize(inputs.size());
  Spec* specs = many.empty() ? few.data() : many.data();
  for (size_t i = 0; i < inputs.size(); ++i) specs[i] = {inputs[i].shape(), inputs[i].dtype()};
  const Spec out_spec = spec(Specs(specs, inputs.size()));
  const Device device = inputs[0].device();
  NDArray out = NDArray::empty(out_spec.shape, out_spec.dtype, device);
  forward(kernels(device), inputs, out);
  return out;
}

Spec ViewOp::spec(Specs) const { throw RuntimeError("spec: a view op has none; see view()"); }

static SavedArray save(const NDArray& array) { return {array, array.storage()->version()}; }

Tensor apply_op(std::unique_ptr<Op> op, std::span<const Tensor> inputs) {
  bool record = false;
  std::vector<NDArray> arrays;
  arrays.reserve(inputs.size());
  for (const Tensor& x : inputs) {
    if (!x.defined()) throw ValueError(str(op->name(), ": an input is an undefined tensor"));
    if (x.device() != inputs[0].device()) {
      throw RuntimeError(str(op->name(), ": inputs on different devices, ", inputs[0].device(),
                             " and ", x.device(), "; move them with to()"));
    }
    record |= x.requires_grad();
    arrays.push_back(x.value());
  }
  NDArray out = op->run(arrays);
  if (!record || !grad_enabled() || !is_floating(out.dtype())) return Tensor(std::move(out));

  auto node = make_ref<Node>();
  const uint32_t saves = op->saves();
  node->name = op->name();
  node->inputs.resize(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    Node::Input& input = node->inputs[i];
    input.node = inputs[i].node();
    input.spec = {arrays[i].shape(), arrays[i].dtype()};
    // Inputs beyond the 31st share the last bit; kInputs has them all.
    if (saves >> std::min<size_t>(i, 30) & 1) input.saved = save(arrays[i]);
  }
  if (saves & Op::kOutput) node->output = save(out);
  node->op = std::move(op);
  return Tensor(std::move(out), std::move(node));
}

void Node::use_up() {
  op.reset();
  output = {};
  for (Input& input : inputs) input.saved = {};
}

void Node::release(Node* node) {
  // Deleting a node drops its references to its inputs, which may be the last ones. The outermost
  // call deletes; those that happen inside only queue.
  static thread_local std::vector<Node*>* queue = nullptr;
  if (queue) {
    queue->push_back(node);
    return;
  }
  std::vector<Node*> pending{node};
  queue = &pending;
  while (!pending.empty()) {
    Node* next = pending.back();
    pending.pop_back();
    delete next;
  }
  queue = nullptr;
}

}  // namespace needle
