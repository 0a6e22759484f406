// Derivatives of functions, from backward passes.  (Lesson 03)
#include "needle/autograd/functional.h"

#include "needle/backend/registry.h"

namespace needle {
namespace {

/// The inputs as fresh leaves: f is differentiated here, whatever graph its arguments come from.
Tensors leaves(const char* name, const Tensors& inputs) {
  if (inputs.empty()) throw ValueError(str(name, ": no inputs"));
  Tensors out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_floating(inputs[i].dtype())) {
      throw TypeError(str(name, ": input ", i, " is ", inputs[i].dtype(),
                          "; only floating dtypes can be differentiated"));
    }
    out.emplace_back(inputs[i].value(), true);
  }
  return out;
}

void check_fits(const char* name, const Tensor& v, const char* of, const Tensor& x) {
  if (v.shape() == x.shape() && v.dtype() == x.dtype()) return;
  throw ValueError(str(name, ": v is ", v.dtype(), " ", v.shape(), ", but the ", of, " is ",
                       x.dtype(), " ", x.shape()));
}

void check_directions(const char* name, const Tensors& v, const Tensors& inputs) {
  if (v.size() != inputs.size()) {
    throw ValueError(str(name, ": ", v.size(), " tensors in v for ", inputs.size(), " inputs"));
  }
  for (size_t i = 0; i < v.size(); ++i) check_fits(name, v[i], "input", inputs[i]);
}

Tensor zeros_like(const Tensor& x) { return Tensor(filled(x.shape(), 0, x.dtype(), x.device())); }

/// f(x), which must be a floating tensor.
Tensor call(const char* name, const Function& f, const Tensors& x) {
  Tensor y = f(x);
  if (!y.defined() || !is_floating(y.dtype())) {
    throw TypeError(str(name, ": the function must return one floating tensor"));
  }
  return y;
}

/// grad(), with zeros for inputs that y does not depend on.
Tensors gradients(const Tensor& y, const Tensors& x, const Tensor& v, BackwardOptions options) {
  Tensors out = y.requires_grad() ? grad({y}, x, {v}, options) : Tensors(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (!out[i].defined()) out[i] = zeros_like(x[i]);
  }
  return out;
}

Tensors detached(Tensors tensors) {
  for (Tensor& t : tensors) t = t.detach();
  return tensors;
}

}  // namespace

Derivative vjp(const Function& f, const Tensors& inputs, const Tensor& v) {
  const GradMode recording(true);
  const Tensors x = leaves("vjp", inputs);
  const Tensor y = call("vjp", f, x);
  if (v.defined()) check_fits("vjp", v, "output", y);
  if (!v.defined() && y.size() != 1) {
    throw ValueError(str("vjp: the output has shape ", y.shape(), "; pass v of that shape"));
  }
  return {y.detach(), gradients(y, x, v, {})};
}

Derivative jvp(const Function& f, const Tensors& inputs, const Tensors& v) {
  const GradMode recording(true);
  check_directions("jvp", v, inputs);
  const Tensors x = leaves("jvp", inputs);
  const Tensor y = call("jvp", f, x);
  const Tensor u(filled(y.shape(), 0, y.dtype(), y.device()), true);
  Tensor product = zeros_like(y);
  const Tensors rows = gradients(y, x, u, {.create_graph = true});  // u^T J_i, linear in u
  Tensors outputs, directions;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].requires_grad()) continue;  // does not depend on u: J_i is zero
    outputs.push_back(rows[i]);
    directions.push_back(v[i]);
  }
  if (!outputs.empty()) {
    const Tensor found = grad(outputs, {u}, directions)[0];
    if (found.defined()) product = found;
  }
  return {y.detach(), {product}};
}

Tensors jacobian(const Function& f, const Tensors& inputs) {
  const GradMode recording(true);
  const Tensors x = leaves("jacobian", inputs);
  const Tensor y = call("jacobian", f, x);
  std::vector<NDArray> rows;  // of matrix i: (elements of y, elements of x_i)
  for (const Tensor& input : x) {
    rows.push_back(filled({y.size(), input.size()}, 0, input.dtype(), input.device()));
  }
  for (int64_t k = 0; y.requires_grad() && k < y.size(); ++k) {
    const NDArray seed = filled({y.size()}, 0, y.dtype(), y.device());
    fill(seed.select(0, k), 1);
    const Tensor v(reshape(seed, y.shape()));
    const Tensors row = gradients(y, x, v, {.retain_graph = true});
    for (size_t i = 0; i < x.size(); ++i) {
      assign(rows[i].select(0, k), reshape(row[i].value(), {x[i].size()}));
    }
  }
  Tensors out;
  for (size_t i = 0; i < x.size(); ++i) {
    Shape shape = y.shape();
    for (int64_t size : x[i].shape()) shape.push_back(size);
    out.emplace_back(reshape(rows[i], shape));
  }
  return out;
}

Derivative hvp(const Function& f, const Tensors& inputs, const Tensors& v) {
  const GradMode recording(true);
  check_directions("hvp", v, inputs);
  const Tensors x = leaves("hvp", inputs);
  const Tensor y = call("hvp", f, x);
  if (y.size() != 1) {
    throw ValueError(str("hvp: the function must return one element, not shape ", y.shape()));
  }
  const Tensors slopes = gradients(y, x, {}, {.create_graph = true});
  Tensors outputs, directions;
  for (size_t i = 0; i < slopes.size(); ++i) {
    if (!slopes[i].requires_grad()) continue;  // constant: it adds nothing to H v
    outputs.push_back(slopes[i]);
    directions.push_back(v[i]);
  }
  Tensors products = outputs.empty() ? Tensors(x.size()) : grad(outputs, x, directions);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!products[i].defined()) products[i] = zeros_like(x[i]);
  }
  return {y.detach(), detached(std::move(products))};
}

}  // namespace needle
