// Module: something with parameters.  (Lesson 05)
//
// A layer lists its members once, in members(); everything else (parameters, state_dict, train,
// to) follows from that list. No registration, no names kept twice.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "needle/op/op.h"

namespace needle::nn {

class Module;

/// Receives what members() lists.
class Members {
 public:
  virtual ~Members() = default;
  virtual void tensor(const std::string& name, const Tensor& tensor) = 0;
  virtual void module(const std::string& name, Module& module) = 0;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using NamedModules = std::vector<std::pair<std::string, Module*>>;

class Module {
 public:
  virtual ~Module() = default;
  /// Tells `visit` every parameter, buffer and child, in order.
  virtual void members(Members& visit) = 0;

  /// "layers.0.weight" -> tensor; each tensor once, under its first name.
  NamedTensors named_parameters();
  Tensors parameters();
  /// What state_dict() has beside the parameters; each tensor once.
  NamedTensors named_buffers();
  /// The modules directly below, each once; and itself, under "", with all that are below.
  NamedModules named_children();
  NamedModules named_modules();
  /// Parameters and buffers, each under every name it has.
  NamedTensors state_dict();
  /// Copies values in. ValueError naming all missing, unexpected and misshapen names; then nothing
  /// was copied.
  void load_state_dict(const std::map<std::string, NDArray>& state);
  /// Training mode, here and in all children. Dropout looks at it.
  void train(bool mode = true);
  bool training() const { return training_; }
  /// Moves all parameters and buffers to a device.
  void to(Device device);
  void zero_grad();

 private:
  bool training_ = true;
};

/// A leaf that wants a gradient and counts as a parameter.
Tensor parameter(const Tensor& value);

}  // namespace needle::nn
