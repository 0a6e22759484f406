// Gradients as Python sees them: nodes, hooks, derivatives of functions, operations written in
// Python, and where in a Python program an anomaly comes from.  (Lesson 03; Python package)
#include <pybind11/typing.h>

#include <memory>
#include <set>

#include "bind.h"
#include "needle/autograd/anomaly.h"
#include "needle/autograd/functional.h"
#include "needle/op/checkpoint.h"

namespace needle::python {
namespace {

// --- operations written in Python: needle.autograd.Function ---

/// ctx.inputs and ctx.output during backward(). They hold the node, and the node holds ctx: they
/// must go afterwards, also if an error leaves backward(), or nobody would free the circle.
class Lent {
 public:
  Lent(const py::object& ctx, const py::tuple& inputs, const py::object& output) : ctx_(ctx) {
    ctx.attr("inputs") = inputs;
    ctx.attr("output") = output;
  }
  ~Lent() {
    PyObject_SetAttrString(ctx_.ptr(), "inputs", Py_None);
    PyObject_SetAttrString(ctx_.ptr(), "output", Py_None);
  }

 private:
  const py::object& ctx_;
};

/// Calls `cls.forward(ctx, *arrays)` and `cls.backward(ctx, dy)`.
class PythonOp : public Op {
 public:
  PythonOp(py::object cls, py::object ctx)
      : name_(py::cast<std::string>(cls.attr("__name__"))),
        cls_(std::move(cls)),
        ctx_(std::move(ctx)) {}

  const char* name() const override { return interned(name_); }
  Spec spec(Specs) const override {
    throw RuntimeError("Function: its shape is known by running it");
  }
  void forward(const Kernels&, Arrays, const NDArray&) override {}
  uint32_t saves() const override { return kInputs | kOutput; }
  bool takes_half() const override { return true; }

  NDArray run(Arrays inputs) override {
    const py::gil_scoped_acquire guard;
    py::list arguments;
    arguments.append(ctx_.object);
    for (const NDArray& x : inputs) arguments.append(x);
    const py::object out = cls_.object.attr("forward")(*arguments);
    const auto tensor = try_tensor(out);
    if (!tensor) {
      throw TypeError(str(name_, ".forward: must return one NDArray, got ", type_name(out)));
    }
    return tensor->value();
  }

  Tensors gradient(const Tensor& dy, const Context& context) const override {
    const py::gil_scoped_acquire guard;
    py::list inputs;
    for (int i = 0; i < context.inputs(); ++i) inputs.append(context.input(i));
    const Lent lent(ctx_.object, py::tuple(inputs), py::cast(context.output()));
    py::object out = cls_.object.attr("backward")(ctx_.object, dy);
    if (!py::isinstance<py::tuple>(out)) out = py::make_tuple(out);
    const auto gradients = py::cast<py::tuple>(out);
    if (static_cast<int>(gradients.size()) != context.inputs()) {
      throw ValueError(str(name_, ".backward: ", gradients.size(), " gradients for ",
                           context.inputs(), " inputs; return one each, or None"));
    }
    Tensors partial;
    for (py::handle g : gradients) partial.push_back(try_tensor(g).value_or(Tensor()));
    return partial;
  }

 private:
  /// A node keeps its name after its op is used up, so the characters must outlive the op.
  static const char* interned(const std::string& name) {
    static auto* names = new std::set<std::string>;  // guarded by the GIL
    return names->insert(name).first->c_str();
  }

  std::string name_;
  Kept cls_, ctx_;
};

Tensor apply_function(const py::object& cls, const py::object& ctx, const std::vector<In>& inputs) {
  Tensors tensors;
  for (const In& x : inputs) tensors.push_back(x.tensor);
  if (tensors.empty()) throw ValueError("Function: apply needs at least one tensor");
  return apply_op(std::unique_ptr<Op>(new PythonOp(cls, ctx)), tensors);
}

// --- functions as arguments ---

/// A Python function of tensors as one of C++. `name` is for messages.
Function function_from(const char* name, const py::object& f) {
  const auto kept = std::make_shared<Kept>(f);
  return [name, kept](const Tensors& inputs) {
    const py::gil_scoped_acquire guard;
    py::tuple arguments(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) arguments[i] = py::cast(inputs[i]);
    const py::object out = kept->object(*arguments);
    const auto tensor = try_tensor(out);
    if (!tensor) {
      throw TypeError(str(name, ": the function must return one Tensor, got ", type_name(out)));
    }
    return *tensor;
  };
}

using Pair = std::pair<Tensor, Tensors>;

Pair pair_of(Derivative d) { return {std::move(d.output), std::move(d.products)}; }

// --- anomalies ---

/// "at train.py:12 in step": the innermost line of Python that is not needle's own.
std::string python_line() {
  if (!Py_IsInitialized()) return "";
  const py::gil_scoped_acquire guard;
  static const std::string package =
      py::cast<std::string>(py::module_::import("os").attr("path").attr("dirname")(
          py::module_::import("needle").attr("__file__")));
  auto frame = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame && !frame.is_none()) {
    const auto file = py::cast<std::string>(frame.attr("f_code").attr("co_filename"));
    if (file.rfind(package, 0) != 0) {
      return str("at ", file, ":", py::cast<int>(frame.attr("f_lineno")), " in ",
                 py::cast<std::string>(frame.attr("f_code").attr("co_name")));
    }
    frame = frame.attr("f_back");
  }
  return "";
}

/// Context managers around the scoped guards of the C++ library.
struct GradSwitch {
  bool enabled;
  std::vector<std::unique_ptr<GradMode>> active;
};
struct AnomalySwitch {
  std::vector<std::unique_ptr<Anomaly::Watch>> active;
};

}  // namespace

HookHandle register_hook(const Tensor& t, const py::object& hook) {
  const auto kept = std::make_shared<Kept>(hook);
  const int id = t.register_hook([kept](const Tensor& gradient) {
    const py::gil_scoped_acquire guard;
    const py::object out = kept->object(gradient);
    if (out.is_none()) return Tensor();
    const auto tensor = try_tensor(out);
    if (!tensor) {
      throw TypeError(
          str("register_hook: the hook must return a Tensor or None, got ", type_name(out)));
    }
    return *tensor;
  });
  return {t, id};
}

void bind_node(py::module_& m) {
  // The graph's nodes are counted by Ref, so a copy of the Ref is all that Python holds.
  py::class_<Ref<Node>> node(m, "Node",
                             "A vertex of the computation graph: the operation behind a tensor.");
  node.attr("__module__") = "needle";
  node.def_property_readonly(
      "name", [](const Ref<Node>& n) { return n->name; }, "The operation; \"leaf\" if none.");
  node.def_property_readonly(
      "inputs",
      [](const Ref<Node>& n) {
        py::typing::Tuple<std::optional<Ref<Node>>, py::ellipsis> out(n->inputs.size());
        for (size_t i = 0; i < n->inputs.size(); ++i) {
          const Ref<Node>& input = n->inputs[i].node;
          out[i] = input ? py::cast(input) : py::none();
        }
        return out;
      },
      "The nodes of the operation's inputs; None for inputs without a gradient.");
  node.def_property_readonly(
      "shape", [](const Ref<Node>& n) { return tuple_of(n->spec.shape); },
      "The shape of the tensor that the operation made.");
  node.def_property_readonly(
      "dtype", [](const Ref<Node>& n) { return n->spec.dtype; },
      "The dtype of the tensor that the operation made.");
  node.def("__repr__", [](const Ref<Node>& n) { return str("<Node ", n->name, ">"); });
  node.def("__hash__", [](const Ref<Node>& n) { return std::hash<const void*>()(n.get()); });
  node.def(
      "__eq__", [](const Ref<Node>& a, const Ref<Node>& b) { return a == b; }, py::is_operator());

  py::class_<HookHandle> handle(m, "HookHandle", "A hook that Tensor.register_hook() left.");
  handle.def(
      "remove", [](const HookHandle& h) { h.tensor.remove_hook(h.id); },
      "The hook is called no more.");
}

static void bind_functional(py::module_& m) {
  m.def(
      "_vjp",
      [](const py::object& f, const Tensors& inputs, const std::optional<Tensor>& v) {
        const Function function = function_from("vjp", f);
        const py::gil_scoped_release guard;
        return pair_of(vjp(function, inputs, v.value_or(Tensor())));
      },
      py::arg("function"), py::arg("inputs"), py::arg("v"));
  m.def(
      "_jvp",
      [](const py::object& f, const Tensors& inputs, const Tensors& v) {
        const Function function = function_from("jvp", f);
        const py::gil_scoped_release guard;
        return pair_of(jvp(function, inputs, v));
      },
      py::arg("function"), py::arg("inputs"), py::arg("v"));
  m.def(
      "_jacobian",
      [](const py::object& f, const Tensors& inputs) {
        const Function function = function_from("jacobian", f);
        const py::gil_scoped_release guard;
        return jacobian(function, inputs);
      },
      py::arg("function"), py::arg("inputs"));
  m.def(
      "_hvp",
      [](const py::object& f, const Tensors& inputs, const Tensors& v) {
        const Function function = function_from("hvp", f);
        const py::gil_scoped_release guard;
        return pair_of(hvp(function, inputs, v));
      },
      py::arg("function"), py::arg("inputs"), py::arg("v"));
  m.def(
      "_checkpoint",
      [](const py::object& f, const Tensors& inputs) {
        const Function function = function_from("checkpoint", f);
        const py::gil_scoped_release guard;
        return checkpoint(function, inputs);
      },
      py::arg("function"), py::arg("inputs"));
}

void bind_autograd(py::module_& m) {
  Anomaly::set_origin(&python_line);
  bind_functional(m);
  py::class_<GradSwitch>(m, "_GradSwitch")
      .def(py::init([](bool enabled) {
             return GradSwitch{enabled, {}};
           }),
           py::arg("enabled"))
      .def("__enter__",
           [](GradSwitch& s) { s.active.push_back(std::make_unique<GradMode>(s.enabled)); })
      .def("__exit__", [](GradSwitch& s, const py::args&) { s.active.pop_back(); });
  py::class_<AnomalySwitch>(m, "_AnomalySwitch")
      .def(py::init<>())
      .def("__enter__",
           [](AnomalySwitch& s) { s.active.push_back(std::make_unique<Anomaly::Watch>()); })
      .def("__exit__", [](AnomalySwitch& s, const py::args&) { s.active.pop_back(); });
  m.def(
      "topological_order",
      [](const py::args& tensors) {
        std::vector<Node*> roots;
        for (const auto& t : tensors) {
          const Node* root = py::cast<Tensor>(t).node().get();
          if (!root) {
            throw RuntimeError("topological_order: a tensor that needs no gradient has no graph");
          }
          roots.push_back(const_cast<Node*>(root));
        }
        std::vector<Ref<Node>> order;
        for (Node* node : topological_order(roots)) order.emplace_back(node);
        return order;
      },
      "The nodes of the graph behind tensors in the order in which backward() visits them.\n\n"
      "Each comes before all nodes that it depends on. RuntimeError without a graph.");
  m.def("is_grad_enabled", &grad_enabled, "Whether operations are recorded on this thread.");
  m.def(
      "_grad",
      [](const Tensors& outputs, const Tensors& inputs,
         const std::vector<std::optional<Tensor>>& gradients, bool retain_graph,
         bool create_graph) {
        Tensors seeds;
        for (const auto& g : gradients) seeds.push_back(g.value_or(Tensor()));
        Tensors found;
        {
          const py::gil_scoped_release guard;
          found = grad(outputs, inputs, seeds, {retain_graph, create_graph});
        }
        std::vector<std::optional<Tensor>> out;
        for (const Tensor& t : found) out.push_back(t.defined() ? std::optional(t) : std::nullopt);
        return out;
      },
      py::arg("outputs"), py::arg("inputs"), py::arg("gradients"), py::arg("retain_graph"),
      py::arg("create_graph"));
  m.def("_apply_function", &apply_function, py::arg("cls"), py::arg("ctx"), py::arg("inputs"));
}

}  // namespace needle::python
