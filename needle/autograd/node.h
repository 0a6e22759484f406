// Op and Node: an operation, and its place in the computation graph.  (Lesson 03)
#pragma once

#include <memory>

#include "needle/autograd/tensor.h"
#include "needle/backend/registry.h"

namespace needle {

/// Shape and dtype of an array that need not exist yet.
struct Spec {
  Shape shape;
  DType dtype;
};
using Specs = std::span<const Spec>;
using Arrays = std::span<const NDArray>;

/// What a gradient may look at: the inputs and the output as they were in the forward pass.
class Context {
 public:
  explicit Context(const Node& node) : node_(node) {}
  /// Input i, in the graph. RuntimeError if it was changed in place since.
  Tensor input(int i) const;
  /// The output, in the graph. RuntimeError if it was changed in place since.
  Tensor output() const;
  const Spec& spec(int i) const;
  const Shape& shape(int i) const { return spec(i).shape; }
  /// Whether anybody wants the gradient of input i. Others may be left undefined.
  bool wants(int i) const;
  int inputs() const;

 private:
  const Node& node_;
};

/// One operation: its rule for shapes, its forward pass, its gradient. Made anew for every call, so
/// forward may leave something for gradient in a member.
class Op {
 public:
  /// Bits of saves(): which arrays gradient() will ask for. The rest is freed early.
  static constexpr uint32_t kInput0 = 1, kInput1 = 2, kInput2 = 4, kOutput = 1u << 31;
  static constexpr uint32_t kNothing = 0, kInputs = kOutput - 1;

  virtual ~Op() = default;
  virtual const char* name() const = 0;
  /// The output's shape and dtype. ValueError or TypeError if the inputs do not fit.
  virtual Spec spec(Specs inputs) const = 0;
  virtual void forward(const Kernels& k, Arrays inputs, const NDArray& out) = 0;
  /// dL/d(input) for each input, from dy = dL/d(output). Written with public ops, so that it
  /// differentiates again; while grad_enabled() is false a fused kernel may be used instead.
  virtual Tensors gradient(const Tensor& dy, const Context& context) const = 0;
  virtual uint32_t saves() const { return kInputs; }

  /// spec, allocate, forward. A ViewOp does less.
  virtual NDArray run(Arrays inputs);
};

/// An op whose output shares the memory of its one input.
class ViewOp : public Op {
 public:
  virtual NDArray view(const NDArray& x) const = 0;
  uint32_t saves() const override { return kNothing; }

  NDArray run(Arrays inputs) final { return view(inputs[0]); }
  Spec spec(Specs) const final;
  void forward(const Kernels&, Arrays, const NDArray&) final {}
};

/// Runs `op` and, if any input needs a gradient, hangs a Node behind the output.
/// RuntimeError if the inputs are on different devices.
Tensor apply_op(std::unique_ptr<Op> op, std::span<const Tensor> inputs);

/// apply_op<Exp>({x}), apply_op<Sum>({x}, axes, keepdims): what follows the inputs makes the op.
template <class O, class... Args>
Tensor apply_op(std::initializer_list<Tensor> inputs, Args&&... args) {
  return apply_op(std::make_unique<O>(std::forward<Args>(args)...),
                  std::span(inputs.begin(), inputs.size()));
}

/// A value kept for backward, with the version it had.
struct SavedArray {
  NDArray array;
  uint32_t version = 0;
};

/// A vertex of the graph. Leaves have no op; their gradient ends in `grad`.
class Node : public RefCounted {
 public:
  struct Input {
    Ref<Node> node;  // null: nobody wants this input's gradient
    Spec spec;
    SavedArray saved;
  };

  std::unique_ptr<Op> op;  // null: a leaf, or used up
  const char* name = "leaf";
  std::vector<Input> inputs;
  SavedArray output;
  Tensor grad;
  bool keeps_grad = false;

  /// Drops the op and the saved arrays; another backward through this node is an error.
  void use_up();
  /// Called by the last Ref. Long chains are taken apart in a loop: the machine's stack never
  /// grows with the length of the graph.
  static void release(Node* node);
};

/// Every node reachable from `roots`, each before all nodes it depends on. No recursion.
std::vector<Node*> topological_order(std::span<Node* const> roots);

}  // namespace needle
