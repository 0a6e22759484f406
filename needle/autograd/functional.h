// Derivatives of functions: products with the Jacobian, and the Jacobian itself.  (Lesson 03)
//
// For y = f(x1, x2, ...), with J_i the matrix of all d y[a] / d x_i[b]: reverse mode gives v^T J_i for
// the cost of one backward pass. Everything here is made of such passes (Griewank & Walther,
// Evaluating Derivatives, chapters 3 and 5).
#pragma once

#include <functional>

#include "needle/autograd/tensor.h"

namespace needle {

/// A function of tensors with one floating output.
using Function = std::function<Tensor(const Tensors&)>;

/// The output f(inputs) and what else was asked for, all outside the graph.
struct Derivative {
  Tensor output;
  Tensors products;
};

/// v^T J_i for every input: products[i] has the shape of inputs[i], zeros if f does not use it. `v`
/// has the shape and dtype of the output; undefined: 1, for an output of one element.
/// TypeError for an input that is not floating, ValueError for a v that does not fit.
Derivative vjp(const Function& f, const Tensors& inputs, const Tensor& v = {});

/// sum_i J_i v_i, the derivative of f along v: products[0], with the shape of the output. v[i] has
/// the shape and dtype of inputs[i]. v^T J is linear in v; differentiating it by v gives J v, so f
/// must be made of ops that differentiate twice. TypeError and ValueError as above.
Derivative jvp(const Function& f, const Tensors& inputs, const Tensors& v);

/// J_i for every input, of shape output.shape + inputs[i].shape: one backward pass per element of
/// the output.
Tensors jacobian(const Function& f, const Tensors& inputs);

/// H v, with H the matrix of second derivatives of f, whose output has one element: products[i] has
/// the shape of inputs[i]. H itself is never made (Pearlmutter 1994).
Derivative hvp(const Function& f, const Tensors& inputs, const Tensors& v);

}  // namespace needle
