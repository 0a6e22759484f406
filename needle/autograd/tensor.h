// Tensor: an array that remembers how it was computed.  (Lesson 03)
//
//   Tensor --> Node (the op that made it) --> Node ... --> Node without op (a leaf)
//
// A Tensor is a handle; copies share value and gradient. Tensors that need no gradient have no
// Node, so arithmetic on plain data builds no graph.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "needle/array/ndarray.h"
#include "needle/array/pool.h"

namespace needle {

class Node;
class Tensor;
using Tensors = std::vector<Tensor, PoolAllocator<Tensor>>;

struct BackwardOptions {
  bool retain_graph = false;  // keep what gradients need, for another backward through this graph
  bool create_graph = false;  // make the gradients differentiable again (implies retain_graph)
};

/// Which state of its memory a tensor had when it was looked at. Both parts count changes: in-place
/// writes to the elements, and replacements by set_value.
struct Version {
  uint32_t writes = 0;
  uint32_t replacements = 0;
  bool operator==(const Version&) const = default;
};

class Tensor {
 public:
  /// Sees the complete gradient of a tensor; what it returns, if defined, takes its place.
  using Hook = std::function<Tensor(const Tensor&)>;

  Tensor() = default;
  /// A leaf. TypeError if a gradient is wanted of a dtype that is not floating.
  explicit Tensor(NDArray value, bool requires_grad = false);
  /// The output of `node`.
  Tensor(NDArray value, Ref<Node> node);
  /// A scalar of shape () on the cpu.
  static Tensor scalar(double value, DType dtype = DType::float32, Device device = {});

  bool defined() const { return static_cast<bool>(body_); }
  /// The elements. Writing to them by hand: call value().storage()->bump_version().
  const NDArray& value() const& { return body_->value; }
  NDArray value() && { return body_->value; }  // a temporary's value must outlive it
  const Shape& shape() const& { return body_->value.shape(); }
  Shape shape() && { return body_->value.shape(); }
  int64_t shape(int axis) const { return body_->value.shape(axis); }
  DType dtype() const { return body_->value.dtype(); }
  Device device() const { return body_->value.device(); }
  int ndim() const { return body_->value.ndim(); }
  int64_t size() const { return body_->value.size(); }
  /// The only element, as a double. ValueError if there are several.
  double item() const;

  bool requires_grad() const { return static_cast<bool>(body_->node); }
  /// Turns a leaf's gradient on or off. RuntimeError on the output of an op.
  void set_requires_grad(bool wanted) const;
  bool is_leaf() const;
  /// The accumulated gradient; undefined if there is none yet.
  Tensor grad() const;
  /// ValueError if the shape or dtype differs from the tensor's. An undefined tensor clears it.
  void set_grad(const Tensor& grad) const;
  /// Keeps the gradient of an op's output too.
  void retain_grad() const;
  /// Calls `hook` in every backward pass that reaches this tensor, leaf or not, in the order of
  /// registration and before .grad is written. Returns a number for remove_hook().
  int register_hook(Hook hook) const;
  /// Nothing happens if the hook is gone already.
  void remove_hook(int id) const;
  /// The same elements outside the graph.
  Tensor detach() const;
  /// Puts other elements behind this handle and all its copies (shape and dtype may change).
  /// RuntimeError on the output of an op.
  void set_value(const NDArray& value) const;
  /// d(this)/d(leaf), times `gradient`, added into the grad of every leaf. `gradient` may be left
  /// out only for a tensor with one element. RuntimeError if this needs no gradient or the graph
  /// was already used up.
  void backward(const Tensor& gradient = {}, BackwardOptions options = {}) const;

  /// Parameters are what nn::Module hands to an optimiser, frozen or not.
  bool is_parameter() const { return body_->is_parameter; }
  void mark_parameter() const { body_->is_parameter = true; }

  Version version() const { return {value().storage()->version(), body_->replacements}; }
  const Ref<Node>& node() const { return body_->node; }
  /// Two handles of the same tensor?
  bool same_as(const Tensor& other) const { return body_ == other.body_; }
  const void* id() const { return body_.get(); }
  /// Is this the only handle, and its array the only view of the memory?
  bool sole_owner() const {
    return body_->use_count() == 1 && body_->value.storage()->use_count() == 1;
  }

 private:
  struct Body : RefCounted, Pooled {
    Body(NDArray value, Ref<Node> node);
    ~Body();  // elsewhere: it needs to know Node
    uint32_t replacements = 0;
    NDArray value;
    Ref<Node> node;
    bool is_parameter = false;
  };
  Ref<Body> body_;
};

/// Gradients of `outputs` (times `gradients`, one each; undefined = ones for one-element outputs)
/// with respect to `inputs`, without touching any .grad. An input the outputs do not depend on
/// gets an undefined tensor. RuntimeError if an input needs no gradient.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& gradients = {},
             BackwardOptions options = {});

/// Whether ops record themselves on this thread.
bool grad_enabled();

/// Switches recording for its lifetime: `NoGrad guard;`
class GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};

class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

}  // namespace needle
