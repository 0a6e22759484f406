// Layers, initialisers and optimisers.  (Lesson 05)
//
// A Python class that derives from needle.nn.Module has the same C++ code behind parameters(),
// state_dict(), train() ...: it only lists its members, by walking its attributes.
#include "bind.h"
#include "needle/nn/init.h"
#include "needle/nn/layers.h"
#include "needle/optim/optim.h"

namespace needle::python {
namespace {

/// The C++ half of a Python module. It is a Layer, so that Sequential can hold it.
class PyModule : public nn::Layer, public py::trampoline_self_life_support {
 public:
  /// Asks `_members()` of the Python half for (name, Tensor or Module) pairs.
  void members(nn::Members& visit) override {
    const py::gil_scoped_acquire guard;
    if (visiting_) throw RuntimeError("Module: a module contains itself");
    const Visiting mark(visiting_);
    const py::list pairs(self().attr("_members")());
    for (py::handle pair : pairs) {
      const auto [name, member] = py::cast<std::pair<std::string, py::object>>(pair);
      if (const auto tensor = try_tensor(member)) {
        visit.tensor(name, *tensor);
      } else {
        visit.module(name, py::cast<nn::Module&>(member));
      }
    }
  }

  Tensor forward(const Tensor& x) override {
    const py::gil_scoped_acquire guard;
    const py::object out = self()(x);
    const auto tensor = try_tensor(out);
    if (!tensor)
      throw TypeError(str("Sequential: a layer returned ", type_name(out), ", not a Tensor"));
    return *tensor;
  }

 private:
  /// A module that could be reached from itself would be walked through for ever.
  struct Visiting {
    explicit Visiting(bool& flag) : flag(flag) { flag = true; }
    ~Visiting() { flag = false; }
    bool& flag;
  };

  bool visiting_ = false;
  py::object self() { return py::cast(static_cast<nn::Module*>(this)); }
};

/// Tensors of any iterable.
Tensors tensors_of(const char* function, const py::iterable& items) {
  Tensors out;
  for (py::handle item : items) {
    const auto tensor = try_tensor(item);
    if (!tensor) throw TypeError(str(function, ": expected tensors, got ", type_name(item)));
    out.push_back(*tensor);
  }
  return out;
}

py::dict dict_of(const std::map<std::string, NDArray>& arrays) {
  py::dict out;
  for (const auto& [name, array] : arrays) out[py::str(name)] = array;
  return out;
}

/// Python's view of modules below `root`, which stays alive as long as they do.
py::list modules_of(const nn::NamedModules& modules, const py::object& root, bool named) {
  py::list out;
  for (const auto& [name, module] : modules) {
    const py::object one = py::cast(module, py::return_value_policy::reference_internal, root);
    out.append(named ? py::object(py::make_tuple(name, one)) : one);
  }
  return out;
}

/// buffers(), children(), modules() and the same with names.
template <class Class>
void define_parts(Class& module) {
  module
      .def("named_buffers", &nn::Module::named_buffers,
           "(\"norm.running_mean\", tensor) pairs: what state_dict() has beside the parameters.")
      .def(
          "buffers",
          [](nn::Module& self) {
            Tensors out;
            for (const auto& [name, tensor] : self.named_buffers()) out.push_back(tensor);
            return out;
          },
          "All registered buffers, each once.");
  struct Row {
    const char* name;
    nn::NamedModules (nn::Module::*list)();
    bool named;
    const char* doc;
  };
  static constexpr Row rows[] = {
      {"children", &nn::Module::named_children, false, "The modules directly below, each once."},
      {"named_children", &nn::Module::named_children, true, "(name, module) pairs of children()."},
      {"modules", &nn::Module::named_modules, false, "The module and all below it, each once."},
      {"named_modules", &nn::Module::named_modules, true,
       "(\"layers.0\", module) pairs of modules(); the module itself is called \"\"."},
  };
  for (const Row& row : rows) {
    const auto [name, list, named, doc] = row;
    module.def(
        name,
        [list, named](const py::object& self) {
          return modules_of((py::cast<nn::Module&>(self).*list)(), self, named);
        },
        doc);
  }
}

void bind_module(py::module_& m) {
  py::class_<nn::Module, PyModule, py::smart_holder> module(
      m, "Module", py::dynamic_attr(),
      "Something with parameters. Derive from it, call super().__init__(), and write forward().\n\n"
      "Parameters, registered buffers and modules are found in attributes, lists and dicts.");
  module.attr("__module__") = "needle.nn";
  module.def(py::init<>())
      .def("parameters", &nn::Module::parameters, "All parameters, each once.")
      .def("named_parameters", &nn::Module::named_parameters,
           "(\"layers.0.weight\", tensor) pairs; each parameter once, under its first name.")
      .def(
          "state_dict",
          [](nn::Module& self) {
            py::dict out;
            for (const auto& [name, tensor] : self.state_dict()) {
              out[py::str(name)] = tensor.detach();
            }
            return out;
          },
          "{name: tensor} of all parameters and buffers; the memory is the module's.")
      .def(
          "load_state_dict",
          [](nn::Module& self, const py::dict& state) {
            self.load_state_dict(arrays_from("load_state_dict", state));
          },
          py::arg("state"),
          "Copies {name: Tensor, NDArray or NumPy array} into the parameters and buffers.\n\n"
          "ValueError naming all missing, unexpected and misshapen names; then nothing was copied.")
      .def(
          "train",
          [](const py::object& self, bool mode) {
            py::cast<nn::Module&>(self).train(mode);
            return self;
          },
          py::arg("mode") = true, "Training mode, here and in all children; returns the module.")
      .def(
          "eval",
          [](const py::object& self) {
            py::cast<nn::Module&>(self).train(false);
            return self;
          },
          "train(False): dropout is off.")
      .def_property_readonly("training", &nn::Module::training, "Whether train() was called last.")
      .def(
          "to",
          [](const py::object& self, const InDevice& device) {
            py::cast<nn::Module&>(self).to(device.device);
            return self;
          },
          py::arg("device"), "Moves all parameters and buffers to a device; returns the module.")
      .def("zero_grad", &nn::Module::zero_grad, "Sets .grad of all parameters to None.")
      .def("__call__", [](const py::object& self, const py::args& args, const py::kwargs& kwargs) {
        return self.attr("forward")(*args, **kwargs);
      });
  define_parts(module);
}

/// A C++ layer: everything of Module, and forward().
template <class L>
auto define_layer(py::module_& m, const char* name, const char* doc) {
  py::class_<L, nn::Module, py::smart_holder> layer(m, name, py::dynamic_attr(), doc);
  layer.attr("__module__") = "needle.nn";
  layer.def(
      "forward",
      [](L& self, const In& x) {
        return released(kLongWork, [&] { return self.forward(x.tensor); });
      },
      py::arg("x"), "The layer applied to a tensor.");
  return layer;
}

template <class Class, class L>
void define_weight(Class& layer, const char* name, Tensor L::*member, const char* doc) {
  layer.def_property(
      name, [member](const L& self) { return or_none(self.*member); },
      [member, name](L& self, const In& value) {
        if (!value.tensor.is_parameter()) {
          throw TypeError(str(name, ": expected an nn.Parameter; wrap the tensor in one"));
        }
        self.*member = value.tensor;
      },
      doc);
}

void bind_layers(py::module_& m) {
  auto linear = define_layer<nn::Linear>(
      m, "Linear", "y = x W^T + b; x (..., in), W (out, in), b (out,), uniform in +-1/sqrt(in).");
  linear.def(py::init<int64_t, int64_t, bool>(), py::arg("in_features"), py::arg("out_features"),
             py::arg("bias") = true);
  define_weight(linear, "weight", &nn::Linear::weight, "(out, in)");
  define_weight(linear, "bias", &nn::Linear::bias, "(out,), or None");

  auto embedding = define_layer<nn::Embedding>(
      m, "Embedding", "Rows of weight (count, dim) by int64 index; weight is standard normal.");
  embedding.def(py::init<int64_t, int64_t>(), py::arg("num_embeddings"), py::arg("embedding_dim"));
  define_weight(embedding, "weight", &nn::Embedding::weight, "(count, dim)");

  auto rms = define_layer<nn::RMSNorm>(
      m, "RMSNorm", "x / sqrt(mean(x^2) + eps) * weight over the last axis (arXiv 1910.07467).");
  rms.def(py::init<int64_t, double>(), py::arg("dim"), py::arg("eps") = 1e-5);
  define_weight(rms, "weight", &nn::RMSNorm::weight, "(dim,)");
  rms.def_readwrite("eps", &nn::RMSNorm::eps, "Added to the mean square.");

  auto norm = define_layer<nn::LayerNorm>(
      m, "LayerNorm",
      "(x - mean) / sqrt(var + eps) * weight + bias over the last axis (arXiv 1607.06450).");
  norm.def(py::init<int64_t, double>(), py::arg("dim"), py::arg("eps") = 1e-5);
  define_weight(norm, "weight", &nn::LayerNorm::weight, "(dim,)");
  define_weight(norm, "bias", &nn::LayerNorm::bias, "(dim,)");
  norm.def_readwrite("eps", &nn::LayerNorm::eps, "Added to the variance.");

  auto dropout = define_layer<nn::Dropout>(
      m, "Dropout", "In training, zeroes elements with probability p and scales the others.");
  dropout.def(py::init<double>(), py::arg("p") = 0.5);
  dropout.def_readwrite("p", &nn::Dropout::p, "The probability of a zero.");

  define_layer<nn::Flatten>(m, "Flatten", "Keeps the first axis, joins the others.")
      .def(py::init<>());
  define_layer<nn::ReLU>(m, "ReLU", "max(x, 0) as a layer.").def(py::init<>());
  define_layer<nn::GELU>(m, "GELU", "The exact GELU as a layer.").def(py::init<>());
  define_layer<nn::SiLU>(m, "SiLU", "x * sigmoid(x) as a layer.").def(py::init<>());
  define_layer<nn::Tanh>(m, "Tanh", "tanh as a layer.").def(py::init<>());
  define_layer<nn::Sigmoid>(m, "Sigmoid", "The sigmoid as a layer.").def(py::init<>());

  auto sequential = define_layer<nn::Sequential>(
      m, "Sequential", "One layer after the other: Sequential(Linear(4, 8), ReLU(), ...).");
  sequential
      .def(py::init([](const py::args& modules) {
        std::vector<std::shared_ptr<nn::Layer>> layers;
        for (py::handle h : modules) {
          std::shared_ptr<nn::Layer> layer;
          if (py::isinstance<nn::Module>(h)) {
            layer = std::dynamic_pointer_cast<nn::Layer>(py::cast<std::shared_ptr<nn::Module>>(h));
          }
          if (!layer) {
            throw TypeError(str("Sequential: expected modules from one tensor to one tensor, got ",
                                type_name(h)));
          }
          layers.push_back(std::move(layer));
        }
        return std::make_shared<nn::Sequential>(std::move(layers));
      }))
      .def("__len__", [](const nn::Sequential& self) { return self.layers.size(); })
      .def("__getitem__", [](const nn::Sequential& self, int64_t i) -> std::shared_ptr<nn::Module> {
        const auto n = static_cast<int64_t>(self.layers.size());
        if (i < -n || i >= n) {
          throw IndexError(str("Sequential: layer ", i, " of ", n, " layers"));
        }
        return self.layers[static_cast<size_t>(i < 0 ? i + n : i)];
      });
}

void bind_init(py::module_& m) {
  using InPlace = const Tensor& (*)(const Tensor&);
  struct Row {
    const char* name;
    InPlace function;
    const char* doc;
  };
  static constexpr Row rows[] = {
      {"zeros_", nn::zeros_, "Writes zeros into t; returns t."},
      {"ones_", nn::ones_, "Writes ones into t; returns t."},
      {"kaiming_uniform_", nn::kaiming_uniform_,
       "+-sqrt(6 / fan_in): He et al. (arXiv 1502.01852)."},
      {"kaiming_normal_", nn::kaiming_normal_,
       "std sqrt(2 / fan_in): He et al. (arXiv 1502.01852)."},
  };
  for (const Row& row : rows) {
    const InPlace function = row.function;
    m.def(
        row.name, [function](const In& t) { return function(t.tensor); }, py::arg("t"), row.doc);
  }
  using WithGain = const Tensor& (*)(const Tensor&, double);
  const auto xavier = [&](const char* name, WithGain function, const char* doc) {
    m.def(
        name, [function](const In& t, double gain) { return function(t.tensor, gain); },
        py::arg("t"), py::arg("gain") = 1.0, doc);
  };
  xavier("xavier_uniform_", nn::xavier_uniform_,
         "+-gain sqrt(6 / (fan_in + fan_out)): Glorot 2010.");
  xavier("xavier_normal_", nn::xavier_normal_,
         "std gain sqrt(2 / (fan_in + fan_out)): Glorot 2010.");
  m.def(
      "uniform_",
      [](const In& t, double low, double high) { return nn::uniform_(t.tensor, low, high); },
      py::arg("t"), py::arg("low") = 0.0, py::arg("high") = 1.0,
      "Uniform in [low, high); returns t.");
  m.def(
      "normal_",
      [](const In& t, double mean, double std) { return nn::normal_(t.tensor, mean, std); },
      py::arg("t"), py::arg("mean") = 0.0, py::arg("std") = 1.0, "Normal; returns t.");
  m.def(
      "clip_grad_norm_",
      [](const py::object& parameters, double max_norm) {
        const auto one = try_tensor(parameters);
        return nn::clip_grad_norm_(one ? Tensors{*one} : tensors_of("clip_grad_norm_", parameters),
                                   max_norm);
      },
      py::arg("parameters"), py::arg("max_norm"),
      "Scales all gradients so that their joint 2-norm is at most max_norm; returns the norm "
      "before.");
}

void bind_optimizers(py::module_& m) {
  using optim::Optimizer;
  py::class_<Optimizer> base(m, "Optimizer", py::dynamic_attr(), "What all optimisers can do.");
  base.attr("__module__") = "needle.optim";
  base.def("step", &Optimizer::step, py::call_guard<py::gil_scoped_release>(),
           "Moves every parameter that has a gradient, in place.")
      .def("zero_grad", &Optimizer::zero_grad, "Sets .grad of all parameters to None.")
      .def_readwrite("lr", &Optimizer::lr, "The learning rate of the next step.")
      .def_property_readonly("parameters", &Optimizer::parameters, "The parameters, in order.")
      .def_property_readonly("steps", &Optimizer::steps, "How many steps were made.")
      .def(
          "state_dict",
          [](Optimizer& self) {
            py::dict out;
            out["steps"] = self.steps();
            out["state"] = dict_of(self.state());
            return out;
          },
          "{\"steps\": int, \"state\": {name: NDArray}}: with lr, all that a resume needs.")
      .def(
          "load_state_dict",
          [](Optimizer& self, const py::dict& state) {
            for (const char* key : {"steps", "state"}) {
              if (!state.contains(key))
                throw ValueError(str("load_state_dict: \"", key, "\" is missing"));
            }
            const auto steps = py::cast<int64_t>(state["steps"]);
            self.load_state(arrays_from("load_state_dict", py::cast<py::dict>(state["state"])));
            self.set_steps(steps);
          },
          py::arg("state"), "Copies in what state_dict() gave. ValueError if it does not fit.");

  py::class_<optim::SGD, Optimizer> sgd(
      m, "SGD", "p -= lr * v, v = momentum * v + g + weight_decay * p: Sutskever et al. 2013.");
  sgd.attr("__module__") = "needle.optim";
  sgd.def(py::init([](const py::iterable& params, double lr, double momentum, double weight_decay,
                      bool nesterov) {
            return optim::SGD(tensors_of("SGD", params), lr, momentum, weight_decay, nesterov);
          }),
          py::arg("params"), py::arg("lr"), py::arg("momentum") = 0.0,
          py::arg("weight_decay") = 0.0, py::arg("nesterov") = false);
  const auto define_adam = [&]<class A>(Tag<A>, const char* name, double weight_decay,
                                        const char* doc) {
    py::class_<A, Optimizer> adam(m, name, doc);
    adam.attr("__module__") = "needle.optim";
    adam.def(py::init([name](const py::iterable& params, double lr, std::pair<double, double> betas,
                             double eps, double weight_decay) {
               return A(tensors_of(name, params),
                        optim::AdamOptions{lr, betas.first, betas.second, eps, weight_decay});
             }),
             py::arg("params"), py::arg("lr") = 1e-3, py::arg("betas") = std::pair(0.9, 0.999),
             py::arg("eps") = 1e-8, py::arg("weight_decay") = weight_decay);
  };
  define_adam(Tag<optim::Adam>{}, "Adam", 0.0,
              "Kingma & Ba (arXiv 1412.6980); weight decay is added to the gradient.");
  define_adam(Tag<optim::AdamW>{}, "AdamW", 0.01,
              "Loshchilov & Hutter (arXiv 1711.05101): the decay acts on the weights alone.");
  m.def("step_decay", &optim::step_decay, py::arg("step"), py::arg("step_size"),
        py::arg("gamma") = 0.1, "1, then times gamma after every step_size steps.");
  m.def("cosine_annealing", &optim::cosine_annealing, py::arg("step"), py::arg("total"),
        py::arg("floor") = 0.0, "From 1 to floor along half a cosine (arXiv 1608.03983).");
  m.def("linear_warmup", &optim::linear_warmup, py::arg("step"), py::arg("warmup"),
        "(step + 1) / warmup, up to 1.");
  m.def("warmup_stable_decay", &optim::warmup_stable_decay, py::arg("step"), py::arg("warmup"),
        py::arg("decay"), py::arg("total"), py::arg("floor") = 0.0,
        "Warm-up, then constant, then linearly to floor over the last `decay` of `total` steps.");
}

}  // namespace

void bind_nn(py::module_& m) {
  bind_module(m);
  bind_layers(m);
  bind_init(m);
  bind_optimizers(m);
}

}  // namespace needle::python
