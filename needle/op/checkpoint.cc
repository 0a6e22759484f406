// A part of the graph that is made again when backward comes to it.  (Lesson 05)
#include "needle/op/checkpoint.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// Puts the default generator back to `seed`, `offset`; afterwards to where it was.
class Replay {
 public:
  Replay(uint64_t seed, uint64_t offset) { default_generator().set_state(seed, offset); }
  ~Replay() { default_generator().set_state(seed_, offset_); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  uint64_t seed_ = default_generator().seed();
  uint64_t offset_ = default_generator().offset();
};

/// Runs f on leaves that stand for its inputs, so that the graph it makes is one of its own.
struct Segment {
  Tensors inputs;
  NodeLog log;
  Tensor output;

  Segment(const Function& f, Tensors leaves) : inputs(std::move(leaves)), output(f(inputs)) {
    if (!output.defined()) throw TypeError("checkpoint: the function returned an undefined tensor");
  }

  /// The nodes from outside of f that f used, in the order of first use.
  std::vector<Node*> outside() const {
    std::unordered_set<const Node*> known{nullptr};
    for (const Tensor& x : inputs) known.insert(x.node().get());
    for (const Ref<Node>& node : log.nodes()) known.insert(node.get());
    std::vector<Node*> found;
    const auto look = [&](const Ref<Node>& node) {
      if (known.insert(node.get()).second) found.push_back(node.get());
    };
    for (const Ref<Node>& node : log.nodes()) {
      for (const Node::Input& input : node->inputs) look(input.node);
    }
    look(output.node());
    return found;
  }

  /// Puts a leaf in the place of each node in `nodes`, which cuts this graph off from theirs.
  Tensors cut(const std::vector<const Node*>& nodes) {
    Tensors leaves;
    std::unordered_map<const Node*, Ref<Node>> leaf_of;
    for (const Node* node : nodes) {
      leaves.emplace_back(NDArray(), make_ref<Node>(node->spec));
      leaf_of[node] = leaves.back().node();
    }
    for (const Ref<Node>& node : log.nodes()) {
      for (Node::Input& input : node->inputs) {
        const auto found = leaf_of.find(input.node.get());
        if (found != leaf_of.end()) input.node = found->second;
      }
    }
    const auto found = leaf_of.find(output.node().get());
    if (found != leaf_of.end()) output = Tensor(output.value(), found->second);
    return leaves;
  }
};

/// Inputs: those of f, then one for each node from outside that f used.
class Checkpoint final : public Op {
 public:
  Checkpoint(Function f, NDArray output, std::vector<const Node*> outside, uint64_t seed,
             uint64_t offset)
      : f_(std::move(f)),
        output_(std::move(output)),
        outside_(std::move(outside)),
        seed_(seed),
        offset_(offset) {}

  const char* name() const override { return "checkpoint"; }
  NDArray run(Arrays) override { return std::exchange(output_, {}); }
  Spec spec(Specs) const override { throw RuntimeError("checkpoint: see run()"); }
  void forward(const Kernels&, Arrays, const NDArray&) override {}
  bool takes_half() const override { return true; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    if (grad_enabled()) {
      throw RuntimeError(
          "checkpoint: gradients of gradients are not possible, because the graph inside is made "
          "only for the time of one backward pass; call the function without checkpoint");
    }
    const GradMode recording(true);
    const Replay replay(seed_, offset_);
    const int given = c.inputs() - static_cast<int>(outside_.size());
    Tensors leaves;
    for (int i = 0; i < given; ++i) leaves.emplace_back(c.input(i).value(), c.wants(i));
    Segment segment(f_, std::move(leaves));
    const Tensors cut = segment.cut(outside_);
    if (!segment.output.requires_grad()) return Tensors(c.inputs());

    Tensors wanted;
    for (const Tensor& x : segment.inputs) {
      if (x.requires_grad()) wanted.push_back(x);
    }
    wanted.insert(wanted.end(), cut.begin(), cut.end());
    const Tensors found = grad({segment.output}, wanted, {dy});
    Tensors partial(given);
    size_t next = 0;
    for (int i = 0; i < given; ++i) {
      if (c.wants(i)) partial[i] = found[next++];
    }
    partial.insert(partial.end(), found.begin() + static_cast<std::ptrdiff_t>(next), found.end());
    return partial;
  }

 private:
  Function f_;
  NDArray output_;
  std::vector<const Node*> outside_;  // the graph owns them: they are inputs of this op's node
  uint64_t seed_, offset_;
};

/// What the graph sees of a node from outside: an input without elements of its own.
Tensor stand_in(Node* node, Device device) {
  const NDArray one = NDArray::empty({}, node->spec.dtype, device);
  return {one.broadcast_to(node->spec.shape), Ref(node)};
}

}  // namespace

Tensor checkpoint(const Function& f, const Tensors& inputs) {
  if (!grad_enabled()) return f(inputs);
  if (inputs.empty()) throw ValueError("checkpoint: no inputs");
  const uint64_t seed = default_generator().seed();
  const uint64_t offset = default_generator().offset();
  Tensors all = inputs;
  std::vector<const Node*> outside;
  NDArray output;
  {
    Tensors leaves;
    for (const Tensor& x : inputs) leaves.emplace_back(x.value(), x.requires_grad());
    const Segment segment(f, std::move(leaves));
    output = segment.output.value();
    for (Node* node : segment.outside()) {
      outside.push_back(node);
      all.push_back(stand_in(node, inputs[0].device()));
    }
  }
  return apply_op(std::make_unique<Checkpoint>(f, output, std::move(outside), seed, offset), all);
}

}  // namespace needle
