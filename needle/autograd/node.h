// Op and Node: an operation, and its place in the computation graph.  (Lesson 03)
#pragma once

#include <memory>
#include <string>

#include "needle/autograd/tensor.h"
#include "needle/backend/registry.h"

namespace needle {

/// Shape and dtype of an array that need not exist yet.
struct Spec {
  Shape shape;
  DType dtype;
};

/// A tensor that is passed on without being counted.
class TensorRef {
 public:
  TensorRef(const Tensor& tensor) : tensor_(&tensor) {}
  const Tensor& operator*() const { return *tensor_; }
  const Tensor* operator->() const { return tensor_; }

 private:
  const Tensor* tensor_;
};
using TensorRefs = std::span<const TensorRef>;

/// The shapes and dtypes of an op's inputs.
class Specs {
 public:
  explicit Specs(TensorRefs tensors) : tensors_(tensors) {}
  size_t size() const { return tensors_.size(); }
  Spec operator[](size_t i) const { return {tensors_[i]->shape(), tensors_[i]->dtype()}; }

 private:
  TensorRefs tensors_;
};

/// The arrays of an op's inputs: what the kernels see.
class Arrays {
 public:
  explicit Arrays(TensorRefs tensors) : tensors_(tensors) {}
  size_t size() const { return tensors_.size(); }
  const NDArray& operator[](size_t i) const { return tensors_[i]->value(); }

  class Iterator {
   public:
    explicit Iterator(const TensorRef* at) : at_(at) {}
    const NDArray& operator*() const { return (*at_)->value(); }
    Iterator& operator++() { return ++at_, *this; }
    bool operator==(const Iterator&) const = default;

   private:
    const TensorRef* at_;
  };
  Specs specs() const { return Specs(tensors_); }
  Iterator begin() const { return Iterator(tensors_.data()); }
  Iterator end() const { return Iterator(tensors_.data() + tensors_.size()); }

 private:
  TensorRefs tensors_;
};

/// What a gradient may look at: the inputs and the output as they were in the forward pass.
class Context {
 public:
  explicit Context(const Node& node) : node_(node) {}
  /// Input i, in the graph. RuntimeError if it was changed in place since.
  Tensor input(int i) const;
  /// The output, in the graph. RuntimeError if it was changed in place since.
  Tensor output() const;
  Spec spec(int i) const;
  const Shape& shape(int i) const;
  /// Whether anybody wants the gradient of input i. Others may be left undefined.
  bool wants(int i) const;
  int inputs() const;

 private:
  const Node& node_;
};

/// One operation: its rule for shapes, its forward pass, its gradient. Made anew for every call, so
/// forward may leave something for gradient in a member.
class Op : public Pooled {
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
  /// Whether inputs may be float16 or bfloat16. What only moves elements takes them; what computes
  /// does not, matmul excepted.
  virtual bool takes_half() const { return false; }

  /// spec, allocate, forward. A ViewOp does less.
  virtual NDArray run(Arrays inputs);
};

/// An op whose output shares the memory of its one input.
class ViewOp : public Op {
 public:
  virtual NDArray view(const NDArray& x) const = 0;
  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }

  NDArray run(Arrays inputs) final { return view(inputs[0]); }
  Spec spec(Specs) const final;
  void forward(const Kernels&, Arrays, const NDArray&) final {}
};

/// Runs `op` and, if any input needs a gradient, hangs a Node behind the output.
/// RuntimeError if the inputs are on different devices; TypeError for half ones that it does not take.
Tensor apply_op(std::unique_ptr<Op> op, TensorRefs inputs);
Tensor apply_op(std::unique_ptr<Op> op, const Tensors& inputs);

/// apply_op<Exp>({x}), apply_op<Sum>({x}, axes, keepdims): what follows the inputs makes the op.
template <class O, class... Args>
Tensor apply_op(std::initializer_list<TensorRef> inputs, Args&&... args) {
  return apply_op(std::make_unique<O>(std::forward<Args>(args)...),
                  TensorRefs(inputs.begin(), inputs.size()));
}

/// A vertex of the graph. Leaves have no op; their gradient ends in `grad`.
///
/// A graph has many of these, so a node is small, 192 bytes: two inputs have their place in it, what
/// few nodes have is kept apart, and the shape of an input is looked up in the node behind it.
class Node : public RefCounted, public Pooled {
 public:
  /// One input of the op, as it was when the op ran.
  struct Input {
    Ref<Node> node;   // null: nobody wants this input's gradient
    Tensor saved;     // undefined: backward does not ask for its elements
    Version version;  // of `saved`, then
  };
  /// A list of inputs, the first two in place.
  class Inputs {
   public:
    explicit Inputs(size_t n) : size_(n), many_(n > 2 ? new Input[n] : nullptr) {}
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    Input* begin() { return many_ ? many_.get() : few_; }
    Input* end() { return begin() + size_; }
    const Input* begin() const { return many_ ? many_.get() : few_; }
    const Input* end() const { return begin() + size_; }
    Input& operator[](size_t i) { return begin()[i]; }
    const Input& operator[](size_t i) const { return begin()[i]; }

   private:
    size_t size_;
    std::unique_ptr<Input[]> many_;
    Input few_[2];
  };
  /// The output, kept for ops that ask for it. Not as a Tensor: that would own this node.
  struct Output {
    NDArray array;
    uint32_t version;
  };
  struct Details {
    std::vector<std::pair<size_t, Spec>> specs;  // of inputs of which nothing else tells it
    std::vector<std::pair<int, Tensor::Hook>> hooks;
    int hooks_so_far = 0;
    std::string origin;  // the line of the program that called the op; see anomaly.h
  };

  /// A leaf.
  explicit Node(const Spec& s) : spec(s), inputs(0) {}
  Node(std::unique_ptr<Op> op, TensorRefs inputs, const NDArray& output);

  bool keeps_grad = false;
  const char* name = "leaf";
  Spec spec;               // of the output
  std::unique_ptr<Op> op;  // null: a leaf, or used up
  Inputs inputs;
  std::unique_ptr<Output> output;
  Tensor grad;

  /// Made at first use.
  Details& details();
  const Details* details_if_any() const { return details_.get(); }
  /// Drops the op and the saved arrays; another backward through this node is an error.
  void use_up();
  /// Called by the last Ref. Long chains are taken apart in a loop: the machine's stack never
  /// grows with the length of the graph.
  static void release(Node* node);

 private:
  std::unique_ptr<Details> details_;
};

/// Collects the nodes that this thread makes while it lives. Of several, the innermost gets them.
class NodeLog {
 public:
  NodeLog();
  ~NodeLog();
  NodeLog(const NodeLog&) = delete;
  NodeLog& operator=(const NodeLog&) = delete;
  const std::vector<Ref<Node>>& nodes() const { return nodes_; }
  /// To the log of this thread, if there is one.
  static void add(const Ref<Node>& node);

 private:
  std::vector<Ref<Node>> nodes_;
  NodeLog* previous_;
};

/// Every node reachable from `roots`, each before all nodes it depends on. No recursion.
std::vector<Node*> topological_order(std::span<Node* const> roots);

}  // namespace needle
