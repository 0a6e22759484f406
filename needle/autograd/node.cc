// How an op joins the graph, and how the graph is taken apart.  (Lesson 03)
#include "needle/autograd/node.h"

#include <algorithm>

#include "needle/autograd/anomaly.h"

namespace needle {

static void check_saved(bool saved, bool unchanged, const char* op, const char* what,
                        const Shape& shape) {
  if (!saved) throw RuntimeError(str(op, ": its gradient did not ask for its ", what));
  if (!unchanged) {
    throw RuntimeError(str(op, ": its ", what, " of shape ", shape,
                           " was changed in place, but backward needs the value it had"));
  }
}

Tensor Context::input(int i) const {
  const Node::Input& in = node_.inputs[i];
  const bool saved = in.saved.defined();
  check_saved(saved, saved && in.saved.version() == in.version, node_.name, "input", shape(i));
  // requires_grad may have been switched since; the graph is that of the forward pass.
  return in.saved.node() == in.node ? in.saved : Tensor(in.saved.value(), in.node);
}

Tensor Context::output() const {
  const Node::Output* out = node_.output.get();
  check_saved(out, out && out->array.storage()->version() == out->version, node_.name, "output",
              node_.spec.shape);
  // The node does not own a reference to itself; this one lives no longer than the gradient.
  return Tensor(out->array, Ref(const_cast<Node*>(&node_)));
}

/// The description of input i that was noted because neither its node nor its elements are kept.
static const Spec& noted(const Node& node, int i) {
  for (const auto& [input, spec] : node.details_if_any()->specs) {
    if (input == static_cast<size_t>(i)) return spec;
  }
  throw RuntimeError(str(node.name, ": input ", i, " was not described"));
}

const Shape& Context::shape(int i) const {
  const Node::Input& in = node_.inputs[i];
  if (in.node) return in.node->spec.shape;
  return in.saved.defined() ? in.saved.shape() : noted(node_, i).shape;
}

Spec Context::spec(int i) const {
  const Node::Input& in = node_.inputs[i];
  if (in.node) return in.node->spec;
  return in.saved.defined() ? Spec{in.saved.shape(), in.saved.dtype()} : noted(node_, i);
}

bool Context::wants(int i) const { return static_cast<bool>(node_.inputs[i].node); }
int Context::inputs() const { return static_cast<int>(node_.inputs.size()); }

NDArray Op::run(Arrays inputs) {
  const Spec out_spec = spec(inputs.specs());
  const Device device = inputs[0].device();
  NDArray out = NDArray::empty(out_spec.shape, out_spec.dtype, device);
  forward(kernels(device), inputs, out);
  return out;
}

Spec ViewOp::spec(Specs) const { throw RuntimeError("spec: a view op has none; see view()"); }

/// Whether any input needs a gradient. ValueError, RuntimeError, TypeError for inputs that cannot be
/// used.
static bool check_inputs(const Op& op, TensorRefs inputs) {
  bool record = false;
  for (const TensorRef& x : inputs) {
    if (!x->defined()) throw ValueError(str(op.name(), ": an input is an undefined tensor"));
    if (x->device() != inputs[0]->device()) {
      throw RuntimeError(str(op.name(), ": inputs on different devices, ", inputs[0]->device(),
                             " and ", x->device(), "; move them with to()"));
    }
    if (!op.takes_half()) refuse_half(op.name(), x->dtype());
    record |= x->requires_grad();
  }
  return record;
}

Node::Node(std::unique_ptr<Op> o, TensorRefs tensors, const NDArray& out)
    : name(o->name()), spec{out.shape(), out.dtype()}, op(std::move(o)), inputs(tensors.size()) {
  const uint32_t saves = op->saves();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& x = *tensors[i];
    inputs[i].node = x.node();
    // Inputs beyond the 31st share the last bit; kInputs has them all.
    if (saves >> std::min<size_t>(i, 30) & 1) {
      inputs[i].saved = x;
      inputs[i].version = x.version();
    } else if (!x.node()) {
      details().specs.emplace_back(i, Spec{x.shape(), x.dtype()});
    }
  }
  if (saves & Op::kOutput) output.reset(new Output{out, out.storage()->version()});
}

static constinit thread_local NodeLog* current_log = nullptr;

NodeLog::NodeLog() : previous_(current_log) { current_log = this; }
NodeLog::~NodeLog() { current_log = previous_; }

void NodeLog::add(const Ref<Node>& node) {
  if (current_log) current_log->nodes_.push_back(node);
}

Tensor apply_op(std::unique_ptr<Op> op, TensorRefs inputs) {
  const bool record = check_inputs(*op, inputs) && grad_enabled();
  NDArray out = op->run(Arrays(inputs));
  if (Anomaly::watching()) Anomaly::check_forward(*op, inputs, out);
  if (!record || !is_floating(out.dtype())) return Tensor(std::move(out));
  auto node = make_ref<Node>(std::move(op), inputs, out);
  if (Anomaly::watching()) node->details().origin = Anomaly::origin();
  NodeLog::add(node);
  return Tensor(std::move(out), std::move(node));
}

Tensor apply_op(std::unique_ptr<Op> op, const Tensors& inputs) {
  const std::vector<TensorRef> refs(inputs.begin(), inputs.end());
  return apply_op(std::move(op), TensorRefs(refs));
}

Node::Details& Node::details() {
  if (!details_) details_ = std::make_unique<Details>();
  return *details_;
}

void Node::use_up() {
  op.reset();
  output.reset();
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
