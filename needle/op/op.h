// All ops on tensors. (Lessons 02 and 03; rotary_embedding and attention: lesson 06)
//
// One declaration each; shape rule, forward pass and gradient stand together in the file named in
// the heading. Operands broadcast by NumPy's rule and are promoted by promote() (dtype.h). Errors:
// ValueError for shapes, TypeError for dtypes, IndexError for axes and indices, RuntimeError for
// operands on different devices. An axis may be negative. float16 and bfloat16 are taken by views,
// copies, where, embedding and gathers, cast and matmul; all else refuses them with a TypeError.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "needle/autograd/tensor.h"
#include "needle/backend/kernels.h"

namespace needle {

/// The axes of a reduction; nullopt: all of them.
using Axes = std::optional<Shape>;

// --- unary.cc: elementwise; integer input gives float32, except for neg, abs and relu ---
Tensor unary(Unary kind, const Tensor& x);
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);  // 1 / sqrt(x)
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor gelu(const Tensor& x);  // x * Phi(x), exact: Hendrycks & Gimpel (arXiv 1606.08415)
Tensor silu(const Tensor& x);  // x * sigmoid(x)
Tensor erf(const Tensor& x);

// --- binary.cc: elementwise; a Python-like scalar keeps the tensor's dtype ---
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);  // integers give float32
Tensor pow(const Tensor& a, const Tensor& b);
/// Where a == b, each gets half of the gradient, as in PyTorch.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
/// A scalar operand for x: of x's dtype, or float32 where that cannot hold it.
Tensor scalar_like(const Tensor& x, double value);
Tensor add(const Tensor& a, double b);
Tensor sub(const Tensor& a, double b);
Tensor mul(const Tensor& a, double b);
Tensor div(const Tensor& a, double b);
Tensor pow(const Tensor& a, double b);
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& x);

// --- compare.cc: bool results, no gradient ---
Tensor compare(Compare kind, const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);

/// Of bool tensors; TypeError for others.
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& x);

// --- where.cc ---
/// condition ? a : b, elementwise. condition: bool.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
/// x restricted to [low, high]. The gradient is 0 outside.
Tensor clip(const Tensor& x, double low, double high);
/// x with `value` where mask (bool, broadcast to x) is true.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

// --- cast.cc ---
Tensor cast(const Tensor& x, DType dtype);
Tensor to_device(const Tensor& x, Device device);
/// x itself if compact, else a compact copy.
Tensor contiguous(const Tensor& x);

// --- reduce.cc ---
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Mean squared distance from the mean, over n - correction.
Tensor var(const Tensor& x, const Axes& axes = {}, int correction = 1, bool keepdims = false);
/// The gradient is shared equally among equal extremes.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// log(sum(exp(x))) without overflow.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// int64 index of the first extreme value along an axis; nullopt: of the flattened tensor.
Tensor argmax(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
Tensor argmin(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
/// bool: whether any element, or every one, is not 0.
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Sums x over the axes along which `shape` was broadcast: the gradient of broadcast_to.
Tensor sum_to(const Tensor& x, const Shape& shape);

// --- cumsum.cc ---
/// Running sums along an axis.
Tensor cumsum(const Tensor& x, int64_t axis);

// --- movement.cc: views where the strides allow it ---
Tensor reshape(const Tensor& x, const Shape& shape);  // one size may be -1
Tensor permute(const Tensor& x, const Shape& axes);
Tensor transpose(const Tensor& x, int64_t axis0, int64_t axis1);
Tensor broadcast_to(const Tensor& x, const Shape& shape);
Tensor unsqueeze(const Tensor& x, int64_t axis);
Tensor squeeze(const Tensor& x, int64_t axis);
Tensor flip(const Tensor& x, int64_t axis);
Tensor slice(const Tensor& x, int64_t axis, const Slice& slice);
Tensor select(const Tensor& x, int64_t axis, int64_t index);

// --- as_strided.cc ---
/// A view of the memory behind x: element (i, j, ...) lies at offset + i * strides[0] + ..., counted
/// in elements from the beginning of the memory. ValueError if that leaves the memory.
Tensor as_strided(const Tensor& x, const Shape& shape, const Shape& strides, int64_t offset = 0);

// --- pad.cc: copies ---
/// A border of `value`: widths (before, after) for the last axis, then for the one before it ...
/// Negative widths cut.
Tensor pad(const Tensor& x, const std::vector<int64_t>& widths, double value = 0);
/// Elements pushed on by shifts[i] along axes[i], those that fall off coming back in front. Without
/// axes: of the flattened tensor.
Tensor roll(const Tensor& x, const Shape& shifts, const Axes& axes = {});
/// x said repeats[i] times along its axes; the counts stand on the right.
Tensor tile(const Tensor& x, const Shape& repeats);

// --- concat.cc: copies ---
Tensor concat(const Tensors& parts, int64_t axis = 0);
Tensor stack(const Tensors& parts, int64_t axis = 0);
/// Consecutive pieces of the given sizes along an axis: views.
Tensors split(const Tensor& x, const Shape& sizes, int64_t axis = 0);
/// At most `count` pieces of equal size, the last one maybe smaller: views.
Tensors chunk(const Tensor& x, int64_t count, int64_t axis = 0);

// --- matmul.cc ---
/// a (..., m, k) x b (..., k, n) -> (..., m, n); batch axes broadcast; 1-d operands as in NumPy. Two
/// of float16 or bfloat16 give that dtype, summed in float32.
Tensor matmul(const Tensor& a, const Tensor& b);
/// a (m,), b (n,) -> (m, n), all products.
Tensor outer(const Tensor& a, const Tensor& b);
/// a (n,), b (n,) -> (), the sum of the products.
Tensor dot(const Tensor& a, const Tensor& b);

// --- einsum.cc ---
/// "ij,jk->ik": NumPy's notation, with ellipses and implicit results; no letter twice in an operand.
Tensor einsum(const std::string& subscripts, const Tensors& operands);

// --- softmax.cc ---
Tensor softmax(const Tensor& x, int64_t axis = -1);
Tensor log_softmax(const Tensor& x, int64_t axis = -1);

// --- cross_entropy.cc ---
/// Mean over rows of -log softmax(logits)[label]. logits (n, classes), labels (n,) int64; rows with
/// label -100 do not count. Natural logarithm. IndexError for a label outside [0, classes).
/// label_smoothing: the part of every label that is shared by all classes alike, 0 to 1; Szegedy et
/// al. (arXiv 1512.00567), section 7.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing = 0);
/// mean((a - b)^2).
Tensor mse_loss(const Tensor& a, const Tensor& b);

// --- norm.cc: over the last axis, of size n ---
/// x / sqrt(mean(x^2) + eps) * weight (n,): Zhang & Sennrich (arXiv 1910.07467).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-5);
/// (x - mean) / sqrt(var + eps) * weight + bias, both (n,): Ba et al. (arXiv 1607.06450).
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

// --- embedding.cc ---
/// Rows of table (rows, ...) by int64 index (...). IndexError for an index outside [0, rows).
Tensor embedding(const Tensor& table, const Tensor& index);
/// The same without a look at the index, for callers that know it to be int64 and in range.
Tensor gather_rows(const Tensor& table, const Tensor& index);
/// Its gradient: rows x (..., ...) added up by index (...) in a table (rows, ...) of zeros.
Tensor scatter_rows(const Tensor& x, const Tensor& index, int64_t rows);

// --- gather.cc: an index is int64, negative from the end; IndexError outside of the axis ---
/// out[i, j, ...] = x[index[i, j, ...], j, ...] for axis 0; index has x's rank and, beside the axis,
/// no larger size.
Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);
/// The same, but the other axes broadcast; without an axis, of the flattened tensors.
Tensor take_along_dim(const Tensor& x, const Tensor& index, std::optional<int64_t> axis = {});
/// The slices of x along an axis that index (n,) names.
Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);
/// x plus source[i, j, ...] at (index[i, j, ...], j, ...) for axis 0; places named twice get both.
Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);

// --- sort.cc: {values, int64 indices}; NaN is the largest; equal ones keep their order ---
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis = -1, bool descending = false);
/// The k largest (or smallest) along an axis, in order.
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);

// --- conv.cc: images (n, channels, height, width); sizes are one number or (height, width) ---
/// Cross-correlation. weight (out, channels / groups, kh, kw), bias (out,) or undefined.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Shape& stride = {1}, const Shape& padding = {0}, const Shape& dilation = {1},
              int64_t groups = 1);
/// The gradient of conv2d with respect to its input, as a layer: weight (channels, out / groups,
/// kh, kw).
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const Shape& stride = {1}, const Shape& padding = {0},
                        const Shape& output_padding = {0}, int64_t groups = 1,
                        const Shape& dilation = {1});

// --- pool.cc: as conv.cc; the stride is the kernel by default ---
Tensor max_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride = {},
                  const Shape& padding = {0});
/// The zeros of the padding count.
Tensor avg_pool2d(const Tensor& x, const Shape& kernel, const Axes& stride = {},
                  const Shape& padding = {0});

// --- batch_norm.cc ---
/// (x - mean) / sqrt(var + eps) * weight + bias per channel; x (n, channels, ...), the others
/// (channels,) or undefined. training: mean and var are the batch's, and the running ones move
/// towards them by `momentum`, in place. Ioffe & Szegedy (arXiv 1502.03167).
Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight = {}, const Tensor& bias = {}, bool training = false,
                  double momentum = 0.1, double eps = 1e-5);

// --- dropout.cc ---
/// Zeroes elements with probability p and scales the others by 1 / (1 - p):
/// Srivastava et al. 2014. Draws from the default generator.
Tensor dropout(const Tensor& x, double p, bool training = true);

// --- rotary.cc ---
/// x (batch, heads, seq, d) with each pair (x[i], x[i + d/2]) turned by the angle of its position.
/// cos, sin: (seq, d/2). RoFormer (arXiv 2104.09864).
Tensor rotary_embedding(const Tensor& x, const Tensor& cos, const Tensor& sin);

// --- attention.cc ---
/// softmax(q k^T * scale) v; q (batch, heads, tq, d), k and v (batch, kv_heads, tk, d), heads a
/// multiple of kv_heads. causal: query i sees keys j <= i + tk - tq. scale: 1 / sqrt(d) by default.
Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    bool causal = false, std::optional<double> scale = {});

// --- creation.cc: leaves without gradient ---
Tensor full(const Shape& shape, double value, DType dtype = DType::float32, Device device = {});
Tensor zeros(const Shape& shape, DType dtype = DType::float32, Device device = {});
Tensor ones(const Shape& shape, DType dtype = DType::float32, Device device = {});
/// start, start + step, ... before stop. ValueError for step 0.
Tensor arange(double start, double stop, double step = 1, DType dtype = DType::int64);
/// `count` evenly spaced values, both ends included.
Tensor linspace(double start, double stop, int64_t count, DType dtype = DType::float32);
Tensor eye(int64_t n, DType dtype = DType::float32);
/// int64 labels (...) -> (..., classes), 1 at the label.
Tensor one_hot(const Tensor& labels, int64_t classes, DType dtype = DType::float32);

// --- random.cc ---
/// A stream of random numbers: element i is a function of (seed, i), on every device.
class Generator {
 public:
  explicit Generator(uint64_t seed) : seed_(seed) {}
  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return offset_; }
  void set_state(uint64_t seed, uint64_t offset) { seed_ = seed, offset_ = offset; }
  /// Reserves `count` numbers of the stream; returns the index of the first. Thread-safe.
  uint64_t take(int64_t count);

 private:
  uint64_t seed_;
  uint64_t offset_ = 0;
};
/// The one that functions use when none is given.
Generator& default_generator();
void manual_seed(uint64_t seed);
Tensor rand(const Shape& shape, Generator& generator = default_generator(),
            DType dtype = DType::float32, Device device = {});
Tensor randn(const Shape& shape, Generator& generator = default_generator(),
             DType dtype = DType::float32, Device device = {});
/// int64 in [low, high).
Tensor randint(int64_t low, int64_t high, const Shape& shape,
               Generator& generator = default_generator());
/// A random order of 0 ... n - 1 (Fisher-Yates), int64.
Tensor randperm(int64_t n, Generator& generator = default_generator());

}  // namespace needle
