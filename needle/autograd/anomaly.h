// Anomaly detection: where the first NaN or infinity comes from.  (Lesson 03)
#pragma once

#include <string>

#include "needle/autograd/node.h"

namespace needle {

/// While one lives, this thread checks every op: `Anomaly::Watch guard;`. RuntimeError as soon as an
/// op makes a NaN or an infinity of finite values, in its forward pass or in its gradient.
class Anomaly {
 public:
  class Watch {
   public:
    /// The defaults are the place of the caller, as std::source_location would tell it (clang-tidy
    /// does not know that header yet).
    explicit Watch(const char* file = __builtin_FILE(), int line = __builtin_LINE());
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    std::string previous_;
    bool was_watching_;
  };
  /// Switches the checks off for its lifetime: a gradient is checked as a whole.
  class Pause {
   public:
    Pause() : was_watching_(watching_) { watching_ = false; }
    ~Pause() { watching_ = was_watching_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    bool was_watching_;
  };

  static bool watching() { return watching_; }
  /// "at file.py:12 in train": the line of the user's program that runs now. From C++ that is the
  /// line of the Watch; Python's bindings know better and put a function here.
  static std::string origin();
  static void set_origin(std::string (*function)());

  static void check_forward(const Op& op, TensorRefs inputs, const NDArray& out);
  static void check_gradient(const Node& node, const Tensor& dy, const Tensors& gradients);

 private:
  static thread_local bool watching_;
};

}  // namespace needle
