// What follows from the list of members.  (Lesson 05)
#include "needle/nn/module.h"

#include <functional>
#include <set>

#include "needle/backend/registry.h"

namespace needle::nn {
namespace {

/// Calls `found` for every tensor below a module, with its path.
class Walk : public Members {
 public:
  using Found = std::function<void(const std::string& path, const Tensor& tensor)>;
  using Entered = std::function<void(const std::string& path, Module& module)>;

  Walk(Found found, Entered entered) : found_(std::move(found)), entered_(std::move(entered)) {}

  void enter(Module& module) {
    if (entered_) entered_(prefix_.substr(0, prefix_.size() - !prefix_.empty()), module);
    module.members(*this);
  }

  void tensor(const std::string& name, const Tensor& tensor) override {
    if (tensor.defined() && found_) found_(prefix_ + name, tensor);
  }

  void module(const std::string& name, Module& module) override {
    const std::string outer = prefix_;
    prefix_ += name + ".";
    enter(module);
    prefix_ = outer;
  }

 private:
  Found found_;
  Entered entered_;
  std::string prefix_;
};

/// Only what a module lists itself.
class Children : public Members {
 public:
  NamedModules found;
  void tensor(const std::string&, const Tensor&) override {}
  void module(const std::string& name, Module& module) override {
    for (const auto& [other, known] : found) {
      if (known == &module) return;
    }
    found.emplace_back(name, &module);
  }
};

/// The parameters below a module, or all other tensors; each once, under its first name.
NamedTensors tensors_below(Module& module, bool parameters) {
  NamedTensors out;
  std::set<const void*> seen;
  Walk(
      [&](const std::string& path, const Tensor& tensor) {
        if (tensor.is_parameter() == parameters && seen.insert(tensor.id()).second)
          out.emplace_back(path, tensor);
      },
      nullptr)
      .enter(module);
  return out;
}

}  // namespace

NamedTensors Module::named_parameters() { return tensors_below(*this, true); }
NamedTensors Module::named_buffers() { return tensors_below(*this, false); }

NamedModules Module::named_children() {
  Children children;
  members(children);
  return children.found;
}

NamedModules Module::named_modules() {
  NamedModules modules;
  std::set<const Module*> seen;
  Walk(nullptr, [&](const std::string& path, Module& module) {
    if (seen.insert(&module).second) modules.emplace_back(path, &module);
  }).enter(*this);
  return modules;
}

Tensors Module::parameters() {
  Tensors parameters;
  for (auto& [name, tensor] : named_parameters()) parameters.push_back(tensor);
  return parameters;
}

NamedTensors Module::state_dict() {
  NamedTensors state;
  Walk([&](const std::string& path, const Tensor& tensor) { state.emplace_back(path, tensor); },
       nullptr)
      .enter(*this);
  return state;
}

void Module::load_state_dict(const std::map<std::string, NDArray>& state) {
  const NamedTensors own = state_dict();
  std::string missing, unexpected, misshapen;
  std::set<std::string> known;
  for (const auto& [name, tensor] : own) {
    known.insert(name);
    const auto found = state.find(name);
    if (found == state.end()) {
      missing += " " + name;
    } else if (found->second.shape() != tensor.shape()) {
      misshapen += str(" ", name, " ", found->second.shape(), " for ", tensor.shape());
    }
  }
  for (const auto& [name, array] : state) {
    if (!known.count(name)) unexpected += " " + name;
  }
  if (!missing.empty() || !unexpected.empty() || !misshapen.empty()) {
    std::string message = "load_state_dict:";
    if (!missing.empty()) message += " missing:" + missing + ";";
    if (!unexpected.empty()) message += " unexpected:" + unexpected + ";";
    if (!misshapen.empty()) message += " wrong shape:" + misshapen + ";";
    message.pop_back();
    throw ValueError(message);
  }
  for (const auto& [name, tensor] : own) {
    assign(tensor.value(), to_device(state.at(name), tensor.device()));
  }
}

void Module::train(bool mode) {
  Walk(nullptr, [mode](const std::string&, Module& module) {
    module.training_ = mode;
  }).enter(*this);
}

void Module::to(Device device) {
  for (const auto& [name, tensor] : state_dict())
    tensor.set_value(to_device(tensor.value(), device));
}

void Module::zero_grad() {
  for (const Tensor& p : parameters()) {
    if (p.requires_grad()) p.set_grad({});
  }
}

Tensor parameter(const Tensor& value) {
  Tensor leaf(value.value(), true);
  leaf.mark_parameter();
  return leaf;
}

}  // namespace needle::nn
