// Every operation of needle/op/op.h: as a function needle.exp(x), and where natural as a method of
// Tensor and NDArray, x.exp().  (Lessons 02, 03 and 06)
#include "binder.h"

namespace needle::python {
namespace {

Tensor binary(const char* name, Tensor (*f)(const Tensor&, const Tensor&), py::handle a,
              py::handle b) {
  const auto pair = operands(a, b);
  if (!pair) {
    throw TypeError(str(name, ": expected tensors, at most one of them a number, got ",
                        type_name(a), " and ", type_name(b)));
  }
  return released(pair->first.size() + pair->second.size(),
                  [&] { return f(pair->first, pair->second); });
}

void bind_unary(Binder& define) {
  struct Row {
    const char* name;
    Tensor (*function)(const Tensor&);
    const char* doc;
  };
  static constexpr Row rows[] = {
      {"neg", neg, "-x, elementwise."},
      {"abs", abs, "The absolute value, elementwise; its gradient at 0 is 0."},
      {"exp", exp, "e to the power x, elementwise."},
      {"log", log, "The natural logarithm, elementwise."},
      {"log1p", log1p, "log(1 + x), exact for small x, elementwise."},
      {"sqrt", sqrt, "The square root, elementwise."},
      {"rsqrt", rsqrt, "1 / sqrt(x), elementwise."},
      {"sin", sin, "The sine of x in radians, elementwise."},
      {"cos", cos, "The cosine of x in radians, elementwise."},
      {"tanh", tanh, "The hyperbolic tangent, elementwise."},
      {"sigmoid", sigmoid, "1 / (1 + exp(-x)), elementwise."},
      {"relu", relu, "max(x, 0), elementwise; its gradient at 0 is 0."},
      {"gelu", gelu, "x * Phi(x), exact, elementwise: Hendrycks & Gimpel (arXiv 1606.08415)."},
      {"silu", silu, "x * sigmoid(x), elementwise."},
      {"erf", erf, "The error function, elementwise."},
      {"logical_not", logical_not, "True where x is false, elementwise; ~x. bool alone."},
      {"contiguous", contiguous, "x itself if its elements lie in row-major order, else a copy."},
  };
  for (const Row& row : rows) {
    const auto function = row.function;
    define(
        row.name,
        [function](const In& x) {
          return released(x.tensor.size(), [&] { return function(x.tensor); });
        },
        row.doc);
  }
  define(
      "clip",
      [](const In& x, std::optional<double> low, std::optional<double> high) {
        const double inf = std::numeric_limits<double>::infinity();
        return released(x.tensor.size(),
                        [&] { return clip(x.tensor, low.value_or(-inf), high.value_or(inf)); });
      },
      "x restricted to [low, high], elementwise; None leaves a side open. The gradient is 0 "
      "outside.",
      py::arg("low") = py::none(), py::arg("high") = py::none());
  define.m.def(
      "cast",
      [](const In& x, const InDType& dtype) {
        return released(x.tensor.size(), [&] { return cast(x.tensor, dtype.dtype); });
      },
      py::arg("x"), py::arg("dtype"), "A copy in another dtype. The gradient comes back in x's.");
}

void bind_binary(Binder& define) {
  struct Row {
    const char* name;
    Tensor (*function)(const Tensor&, const Tensor&);
    const char* doc;
  };
  static constexpr Row rows[] = {
      {"add", add, "a + b, elementwise. Shapes broadcast; one operand may be a number."},
      {"sub", sub, "a - b, elementwise. Shapes broadcast; one operand may be a number."},
      {"mul", mul, "a * b, elementwise. Shapes broadcast; one operand may be a number."},
      {"div", div, "a / b, elementwise; integers give float32. One operand may be a number."},
      {"pow", pow, "a to the power b, elementwise. One operand may be a number."},
      {"maximum", maximum, "The larger of a and b, elementwise. Equal ones share the gradient."},
      {"minimum", minimum, "The smaller of a and b, elementwise. Equal ones share the gradient."},
      {"equal", equal, "a == b, elementwise, as bool."},
      {"not_equal", not_equal, "a != b, elementwise, as bool."},
      {"less", less, "a < b, elementwise, as bool."},
      {"less_equal", less_equal, "a <= b, elementwise, as bool."},
      {"greater", greater, "a > b, elementwise, as bool."},
      {"greater_equal", greater_equal, "a >= b, elementwise, as bool."},
      {"logical_and", logical_and, "Whether both are true, elementwise; a & b. bool alone."},
      {"logical_or", logical_or, "Whether at least one is true, elementwise; a | b. bool alone."},
      {"logical_xor", logical_xor, "Whether exactly one is true, elementwise; a ^ b. bool alone."},
      {"outer", outer, "a (m,), b (n,) -> (m, n): all products."},
      {"dot", dot, "a (n,), b (n,) -> (): the sum of the products."},
      {"matmul", matmul,
       "The matrix product: a (..., m, k) and b (..., k, n) give (..., m, n).\n\n"
       "Batch axes broadcast; 1-d operands as in NumPy. ValueError if the inner sizes differ.\n"
       "Two of float16 or bfloat16 give that dtype; the sums are taken in float32."},
      {"mse_loss", mse_loss, "mean((a - b)^2): the mean squared error, of shape ()."},
  };
  for (const Row& row : rows) {
    const auto [name, function, doc] = row;
    define.m.def(
        name,
        [name, function](const py::object& a, const py::object& b) {
          return binary(name, function, a, b);
        },
        py::arg("a"), py::arg("b"), doc);
  }
  const auto product = [&](const char* name, auto function, const char* doc) {
    const auto method = [function](const In& x, const In& other) {
      return released(x.tensor.size() + other.tensor.size(),
                      [&] { return function(x.tensor, other.tensor); });
    };
    define_method(define.tensor, name, method, py::arg("other"), doc);
    define_method(define.array, name, array_version(method, &decltype(method)::operator()),
                  py::arg("other"), doc);
  };
  product("matmul", matmul, "The matrix product.");
  product("outer", outer, "self (m,), other (n,) -> (m, n): all products.");
  product("dot", dot, "self (n,), other (n,) -> (): the sum of the products.");
  define.m.def(
      "einsum",
      [](const std::string& subscripts, const py::args& operands) {
        Tensors tensors;
        int64_t work = 0;
        for (py::handle operand : operands) {
          tensors.push_back(py::cast<In>(operand).tensor);
          work += tensors.back().size();
        }
        return released(work, [&] { return einsum(subscripts, tensors); });
      },
      py::arg("subscripts"),
      "Sums of products, one letter an axis: einsum(\"ij,jk->ik\", a, b) is the matrix product.\n\n"
      "NumPy's notation: an ellipsis broadcasts, without -> the letters that occur once remain.\n"
      "A letter twice in one operand (a diagonal) is refused.");
  define.m.def(
      "where",
      [](const In& condition, const py::object& a, const py::object& b) {
        const auto pair = operands(a, b);
        if (!pair) throw TypeError("where: expected two tensors, at most one of them a number");
        return released(condition.tensor.size(),
                        [&] { return where(condition.tensor, pair->first, pair->second); });
      },
      py::arg("condition"), py::arg("a"), py::arg("b"),
      "a where condition (bool) is true, else b, elementwise. Shapes broadcast.");
}

void bind_reductions(Binder& define) {
  struct Row {
    const char* name;
    Tensor (*function)(const Tensor&, const Axes&, bool);
    const char* doc;
  };
  static constexpr Row rows[] = {
      {"sum", sum, "The sum over the axes; None: over all. dim is another name for axis."},
      {"mean", mean, "The mean over the axes; None: over all. dim is another name for axis."},
      {"max", max, "The largest element along the axes. Equal ones share the gradient."},
      {"min", min, "The smallest element along the axes. Equal ones share the gradient."},
      {"prod", prod, "The product over the axes; None: over all."},
      {"logsumexp", logsumexp, "log(sum(exp(x))) over the axes, without overflow."},
      {"any", any, "Whether any element along the axes is not 0, as bool; none is: False."},
      {"all", all, "Whether no element along the axes is 0, as bool; without elements: True."},
  };
  for (const Row& row : rows) {
    const auto function = row.function;
    define(
        row.name,
        [function](const In& x, const InAxes& axis, bool keepdims, const InAxes& dim) {
          const Axes axes = one_of(axis, dim);
          return released(x.tensor.size(), [&] { return function(x.tensor, axes, keepdims); });
        },
        row.doc, axis_arg(), keepdims_arg(), py::kw_only(), dim_arg());
  }
  define(
      "var",
      [](const In& x, const InAxes& axis, int correction, bool keepdims, const InAxes& dim) {
        const Axes axes = one_of(axis, dim);
        return released(x.tensor.size(), [&] { return var(x.tensor, axes, correction, keepdims); });
      },
      "Mean squared distance from the mean, over n - correction elements.", axis_arg(),
      py::arg("correction") = 1, keepdims_arg(), py::kw_only(), dim_arg());
  define(
      "cumsum",
      [](const In& x, const InAxes& axis, const InAxes& dim) {
        const auto one = one_axis(axis, dim);
        if (!one) throw TypeError("cumsum: name the axis");
        return released(x.tensor.size(), [&] { return cumsum(x.tensor, *one); });
      },
      "Running sums along an axis; bools and int32 are counted in int64.", axis_arg(),
      py::kw_only(), dim_arg());
  const auto arg_reduce = [&](const char* name, auto function, const char* doc) {
    define(
        name,
        [function](const In& x, const InAxes& axis, bool keepdims, const InAxes& dim) {
          const auto one = one_axis(axis, dim);
          return released(x.tensor.size(), [&] { return function(x.tensor, one, keepdims); });
        },
        doc, axis_arg(), keepdims_arg(), py::kw_only(), dim_arg());
  };
  arg_reduce("argmax", argmax, "int64 index of the first largest element; None: of x flattened.");
  arg_reduce("argmin", argmin, "int64 index of the first smallest element; None: of x flattened.");
}

void bind_movement(Binder& define) {
  define(
      "reshape",
      [](const In& x, const py::args& shape) { return reshape(x.tensor, shape_from(shape)); },
      "The same elements in row-major order under another shape; one size may be -1.\n\n"
      "reshape(2, 3) or reshape((2, 3)). A view where the strides allow it, else a copy.");
  define(
      "permute",
      [](const In& x, const py::args& axes) { return permute(x.tensor, shape_from(axes)); },
      "Axis i of the result is axis axes[i] of x: a view. permute(1, 0) or permute((1, 0)).");
  define(
      "transpose",
      [](const In& x, int64_t axis0, int64_t axis1) { return transpose(x.tensor, axis0, axis1); },
      "x with two axes exchanged: a view.", py::arg("axis0"), py::arg("axis1"));
  define(
      "broadcast_to",
      [](const In& x, const py::args& shape) { return broadcast_to(x.tensor, shape_from(shape)); },
      "x repeated along axes of size 1 and new axes on the left: a view with stride 0.");
  define(
      "unsqueeze", [](const In& x, int64_t axis) { return unsqueeze(x.tensor, axis); },
      "A new axis of size 1 in front of `axis`: a view.", py::arg("axis"));
  define(
      "squeeze", [](const In& x, int64_t axis) { return squeeze(x.tensor, axis); },
      "x without an axis of size 1: a view. ValueError if its size is not 1.", py::arg("axis"));
  define(
      "flip", [](const In& x, int64_t axis) { return flip(x.tensor, axis); },
      "x with the order along an axis reversed: a view.", py::arg("axis"));
  define(
      "split",
      [](const In& x, const InShape& sizes, int64_t axis) {
        Shape pieces = sizes.shape;
        if (pieces.ndim() != 1) return split(x.tensor, pieces, axis);
        // One number: pieces of that size, the last one maybe smaller.
        const int64_t n = x.tensor.shape(normalize_axis("split", axis, x.tensor.ndim()));
        const int64_t size = pieces[0];
        if (size < 1) throw ValueError(str("split: size ", size, " is below 1"));
        Tensors out;
        for (int64_t i = 0; i < n; i += size) {
          out.push_back(slice(x.tensor, axis, {i, std::min(i + size, n)}));
        }
        return out;
      },
      "Consecutive pieces along an axis, as views: of the given sizes, or all of one size.",
      py::arg("sizes"), py::arg("axis") = 0);
  define(
      "chunk",
      [](const In& x, int64_t chunks, int64_t axis) { return chunk(x.tensor, chunks, axis); },
      "At most `chunks` pieces of equal size along an axis, as views; the last may be smaller.",
      py::arg("chunks"), py::arg("axis") = 0);
  define(
      "pad",
      [](const In& x, const std::vector<int64_t>& widths, double value) {
        return released(x.tensor.size(), [&] { return pad(x.tensor, widths, value); });
      },
      "A border of one value around x; negative widths cut.\n\n"
      "widths: (before, after) of the last axis, then of the one before it, ...: as in PyTorch.",
      py::arg("widths"), py::arg("value") = 0.0);
  define(
      "roll",
      [](const In& x, const InShape& shifts, const InAxes& axis, const InAxes& dim) {
        const Axes axes = one_of(axis, dim);
        return released(x.tensor.size(), [&] { return roll(x.tensor, shifts.shape, axes); });
      },
      "Elements moved on by `shifts` along the axes; those that fall off come back in front.\n\n"
      "Without axis the tensor is flattened for it.",
      py::arg("shifts"), axis_arg(), py::kw_only(), dim_arg());
  define(
      "tile",
      [](const In& x, const py::args& repeats) {
        const Shape times = shape_from(repeats);
        return released(x.tensor.size(), [&] { return tile(x.tensor, times); });
      },
      "x repeated along its axes: tile(2, 3) or tile((2, 3)); the counts stand on the right.");
  define(
      "as_strided",
      [](const In& x, const InShape& shape, const InShape& strides, int64_t offset) {
        return as_strided(x.tensor, shape.shape, strides.shape, offset);
      },
      "Any view of the memory behind x: element (i, j, ...) lies at offset + i * strides[0] + ...,"
      "\n\ncounted in elements from the beginning of the memory. ValueError outside of it.",
      py::arg("shape"), py::arg("strides"), py::arg("offset") = 0);
  const auto join = [&](const char* name, auto function, const char* doc) {
    define.m.def(
        name,
        [function](const std::vector<In>& tensors, int64_t axis) {
          Tensors parts;
          int64_t work = 0;
          for (const In& x : tensors) {
            parts.push_back(x.tensor);
            work += x.tensor.size();
          }
          return released(work, [&] { return function(parts, axis); });
        },
        py::arg("tensors"), py::arg("axis") = 0, doc);
  };
  join("concat", concat, "The tensors one behind the other along an existing axis: a copy.");
  join("stack", stack, "The tensors side by side along a new axis: a copy.");
}

void bind_neural(Binder& define) {
  const auto softmaxes = [&](const char* name, auto function, const char* doc) {
    define(
        name,
        [function](const In& x, const InAxes& axis, const InAxes& dim) {
          const int64_t one = one_axis(axis, dim).value_or(-1);
          return released(x.tensor.size(), [&] { return function(x.tensor, one); });
        },
        doc, axis_arg(), py::kw_only(), dim_arg());
  };
  softmaxes("softmax", softmax, "exp(x) / sum(exp(x)) along an axis, by default the last.");
  softmaxes("log_softmax", log_softmax, "log(softmax(x)) along an axis, by default the last.");
  py::module_& m = define.m;
  m.def(
      "cross_entropy",
      [](const In& logits, const In& labels, double label_smoothing) {
        return released(logits.tensor.size(), [&] {
          return cross_entropy(logits.tensor, labels.tensor, label_smoothing);
        });
      },
      py::arg("logits"), py::arg("labels"), py::arg("label_smoothing") = 0.0,
      "Mean of -log softmax(logits)[label], natural logarithm, of shape ().\n\n"
      "logits (n, classes); labels (n,) int64, -100: the row does not count. IndexError for a "
      "label "
      "outside [0, classes). label_smoothing, 0 to 1, is the part of every label that all classes\n"
      "share alike.");
  m.def(
      "rms_norm",
      [](const In& x, const In& weight, double eps) {
        return released(x.tensor.size(), [&] { return rms_norm(x.tensor, weight.tensor, eps); });
      },
      py::arg("x"), py::arg("weight"), py::arg("eps") = 1e-5,
      "x / sqrt(mean(x^2) + eps) * weight over the last axis, of size n; weight (n,).\n\n"
      "Zhang & Sennrich (arXiv 1910.07467).");
  m.def(
      "layer_norm",
      [](const In& x, const In& weight, const In& bias, double eps) {
        return released(x.tensor.size(),
                        [&] { return layer_norm(x.tensor, weight.tensor, bias.tensor, eps); });
      },
      py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("eps") = 1e-5,
      "(x - mean) / sqrt(var + eps) * weight + bias over the last axis, of size n; both (n,).\n\n"
      "Ba et al. (arXiv 1607.06450).");
  m.def(
      "embedding",
      [](const In& table, const In& index) {
        return released(table.tensor.size(), [&] { return embedding(table.tensor, index.tensor); });
      },
      py::arg("table"), py::arg("index"),
      "Rows of table (rows, ...) by int64 index (...). IndexError for an index outside [0, rows).");
  define(
      "dropout",
      [](const In& x, double p, bool training) { return dropout(x.tensor, p, training); },
      "Zeroes elements with probability p and scales the others by 1 / (1 - p).\n\n"
      "Srivastava et al. 2014. Draws from the generator that manual_seed() sets.",
      py::arg("p") = 0.5, py::arg("training") = true);
  m.def(
      "rotary_embedding",
      [](const In& x, const In& cos, const In& sin) {
        return released(x.tensor.size(),
                        [&] { return rotary_embedding(x.tensor, cos.tensor, sin.tensor); });
      },
      py::arg("x"), py::arg("cos"), py::arg("sin"),
      "x (batch, heads, seq, d), each pair (x[i], x[i + d/2]) turned by the angle of its "
      "position.\n\n"
      "cos, sin (seq, d/2). RoFormer (arXiv 2104.09864).");
  m.def(
      "scaled_dot_product_attention",
      [](const In& q, const In& k, const In& v, bool is_causal, std::optional<double> scale) {
        return released(q.tensor.size() + k.tensor.size(), [&] {
          return scaled_dot_product_attention(q.tensor, k.tensor, v.tensor, is_causal, scale);
        });
      },
      py::arg("q"), py::arg("k"), py::arg("v"), py::kw_only(), py::arg("is_causal") = false,
      py::arg("scale") = py::none(),
      "softmax(q k^T * scale) v; q (batch, heads, tq, d), k and v (batch, kv_heads, tk, d).\n\n"
      "heads is a multiple of kv_heads; is_causal: query i sees keys j <= i + tk - tq; scale is\n"
      "1 / sqrt(d) by default. Vaswani et al. (arXiv 1706.03762).");
}

}  // namespace

void bind_ops(py::module_& m) {
  Binder define{m};
  bind_unary(define);
  bind_binary(define);
  bind_reductions(define);
  bind_movement(define);
  bind_neural(define);
  bind_index_ops(define);
  bind_image_ops(define);
}

}  // namespace needle::python
