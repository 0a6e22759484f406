// Activation checkpointing: memory for time.  (Lesson 05)
#pragma once

#include "needle/autograd/functional.h"

namespace needle {

/// f(inputs), but of what f computes on the way nothing is kept for backward: backward runs f again.
/// Chen et al., Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174).
///
/// f must compute the same when it is called again; the default random generator is put back to
/// where it was, so dropout drops the same elements. Gradients also reach tensors that f uses without
/// being given them, such as the parameters of a layer. Checkpoints may be nested. RuntimeError in a
/// backward pass with create_graph.
Tensor checkpoint(const Function& f, const Tensors& inputs);

}  // namespace needle
