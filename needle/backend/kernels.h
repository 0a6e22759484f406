// Kernels: THE table. Everything a device must be able to do, as plain functions over plain views.
// (Lessons 02 and 04)
//
// Each backend defines one `const Kernels` in one file. backend/reference is the specification:
// tests/conformance holds every slot of every other backend against it. A backend may leave a slot
// null; the caller (see slot() in registry.h) then says so in one sentence.
//
// Rules for every slot
//  - Inputs may have any strides (0 = broadcast, negative = flipped) and any size, 0 included.
//    Shapes and dtypes are checked by the op that calls; a kernel never sees operands that differ.
//  - Outputs are allocated by the caller and never alias an input, except that an elementwise
//    kernel may write over an input that has the same data pointer and strides.
//  - `floating` means float32 or float64; sums of float32 are accumulated so that the error stays
//    within a few units in the last place per thousand terms.
//  - float16 and bfloat16 are kept and moved, not computed with. fill, copy (between all pairs of
//    dtypes), where and gather take them; so does matmul, if both inputs have the same one, with an
//    output of that dtype or float32: it adds up in float32 and rounds once. No other slot does.
//  - A number that the output cannot hold goes to the nearest that it can, of two as near to the
//    even one, also on the way from float64 or int64 to two bytes: rounded once.
//  - NaN: arithmetic, maximum, minimum, and the reductions propagate it; comparisons are false
//    (not_equal: true).
#pragma once

#include "needle/array/view.h"

namespace needle {

/// A number of any dtype: `real` for floating arrays, `integer` for the others (bool: 0 or 1).
struct Scalar {
  double real;
  int64_t integer;
};

enum class Unary : uint8_t {
  neg,
  abs,
  exp,
  log,
  log1p,
  sqrt,
  rsqrt,
  sin,
  cos,
  tanh,
  sigmoid,
  relu,
  gelu,
  silu,
  erf,
};
inline constexpr int kUnaries = 15;

enum class Binary : uint8_t { add, sub, mul, div, pow, maximum, minimum };
inline constexpr int kBinaries = 7;

enum class Compare : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };
inline constexpr int kCompares = 6;

enum class Reduce : uint8_t { sum, prod, max, min };
inline constexpr int kReduces = 4;

enum class ArgReduce : uint8_t { argmax, argmin };

enum class Norm : uint8_t { rms, layer };

enum class Random : uint8_t { uniform, normal };

/// What AdamW needs beside the arrays. Decoupled weight decay, bias correction by the caller.
struct AdamWStep {
  double lr;
  double beta1, beta2;
  double eps;
  double weight_decay;
  double correction1, correction2;  // 1 - beta^t
};

/// Where windows lie on an image: (height, width) each. Tap (i, j) of window (y, x) is the pixel
/// (y * stride[0] + i * dilation[0] - padding[0], x * stride[1] + j * dilation[1] - padding[1]).
struct Windows {
  Shape kernel, stride, padding, dilation;
};

struct Kernels {
  const char* name;  // the device, for messages

  // --- memory ---
  /// out[...] = value.
  void (*fill)(Scalar value, const View& out);
  /// out[...] = x[...], converting the dtype. float -> int truncates; anything -> bool is x != 0.
  void (*copy)(const View& x, const View& out);

  // --- elementwise; all operands already have the shape of `out` ---
  /// All dtypes for neg, abs, relu (not bool); floating for the rest. gelu is the exact (erf) form.
  void (*unary)(Unary op, const View& x, const View& out);
  /// dx = dy * op'(x). floating; `y` = op(x). The slope of abs and relu at 0 is 0.
  void (*unary_backward)(Unary op, const View& x, const View& y, const View& dy, const View& dx);
  /// All dtypes but bool; div and pow floating only.
  void (*binary)(Binary op, const View& a, const View& b, const View& out);
  /// out is bool; a and b have one dtype.
  void (*compare)(Compare op, const View& a, const View& b, const View& out);
  /// out = condition ? a : b. condition is bool.
  void (*where)(const View& condition, const View& a, const View& b, const View& out);

  // --- reductions; `out` has the rank of x, with size 1 on every reduced axis ---
  /// All dtypes but bool for sum, prod; all for max, min. An empty sum is 0, an empty prod 1; empty
  /// max and min are refused by the op.
  void (*reduce)(Reduce op, const View& x, const View& out);
  /// out is int64: the first index along `axis` of the extreme value; NaN is the most extreme.
  void (*arg_reduce)(ArgReduce op, const View& x, int axis, const View& out);

  // --- linear algebra ---
  /// out (batch..., m, n) = a (batch..., m, k) x b (batch..., k, n); floating. Batch axes are equal,
  /// broadcast by stride 0. k = 0 gives zeros.
  void (*matmul)(const View& a, const View& b, const View& out);

  // --- images (Lesson 05); floating ---
  // x, dx (n, groups * in, height, width), y, dy (n, groups * out, oh, ow), weight, dweight
  // (groups * out, in, kh, kw). The padding is 0. Each of the three is the gradient of the others.
  /// y[n, o, place] = sum of x[n, c, pixel of tap] * weight[o, c, tap] over c and taps.
  void (*conv2d)(const Windows& w, int64_t groups, const View& x, const View& weight,
                 const View& y);
  void (*conv2d_input)(const Windows& w, int64_t groups, const View& dy, const View& weight,
                       const View& dx);
  void (*conv2d_weight)(const Windows& w, int64_t groups, const View& dy, const View& x,
                        const View& dweight);
  /// index (n, channels, oh, ow) int64: the position in x, counted in row-major order, of the
  /// largest pixel of each window; of equal ones the first, and NaN is the largest. The padding
  /// never is, and no window lies in it whole.
  void (*pool_argmax)(const Windows& w, const View& x, const View& index);

  // --- rows: the last axis; floating ---
  /// softmax, or its logarithm, of each row.
  void (*softmax)(bool log, const View& x, const View& out);
  /// From y = softmax(x) (or log_softmax(x)) and dy.
  void (*softmax_backward)(bool log, const View& y, const View& dy, const View& dx);
  /// y = (x - mean) * rstd * weight + bias per row; for rms: mean = 0, no bias.
  /// weight, bias: (n,) or undefined (data == nullptr). mean, rstd: shape of x without last axis.
  void (*norm)(Norm kind, double eps, const View& x, const View& weight, const View& bias,
               const View& out, const View& mean, const View& rstd);
  /// dweight, dbias: (n,) or undefined.
  void (*norm_backward)(Norm kind, const View& x, const View& weight, const View& mean,
                        const View& rstd, const View& dy, const View& dx, const View& dweight,
                        const View& dbias);
  /// loss[i] = lse[i] - logits[i, labels[i]], lse = log(sum(exp(row))). logits (n, c) floating,
  /// labels (n,) int64 in [0, c) or -100 (row ignored: loss 0); loss, lse (n,). lse is written for
  /// ignored rows too.
  void (*cross_entropy)(const View& logits, const View& labels, const View& loss, const View& lse);
  /// dlogits = dloss * (softmax(logits) - one_hot(labels)), 0 in ignored rows.
  void (*cross_entropy_backward)(const View& logits, const View& labels, const View& lse,
                                 const View& dloss, const View& dlogits);

  // --- indexing ---
  /// out[i..., :] = table[index[i...], :]. table (rows, ...), index int64, in range (checked by op).
  void (*gather)(const View& table, const View& index, const View& out);
  /// table[r, :] = the sum of x[i..., :] over all i with index[i...] == r, in index order; 0 if there are
  /// none. floating.
  void (*scatter_rows)(const View& index, const View& x, const View& table);

  // --- transformers (Lesson 06); floating ---
  /// Rotates the pairs (x[i], x[i + d/2]) of the last axis by the angle of their position:
  /// x (batch, heads, seq, d); cos, sin (seq, d/2). inverse turns back.
  /// RoFormer (arXiv 2104.09864), in the half-split layout of Hugging Face Llama.
  void (*rotary)(bool inverse, const View& x, const View& cos, const View& sin, const View& out);
  /// softmax(q k^T * scale + mask) v, one pass. q, out (batch, heads, tq, d), k, v (batch, kv_heads,
  /// tk, d), heads a multiple of kv_heads: query head h reads key head h / (heads / kv_heads).
  /// causal: query i sees keys j <= i + tk - tq; one that sees none gets 0 and lse -inf.
  /// lse (batch, heads, tq): log of the row sums.
  void (*attention)(bool causal, double scale, const View& q, const View& k, const View& v,
                    const View& out, const View& lse);
  void (*attention_backward)(bool causal, double scale, const View& q, const View& k, const View& v,
                             const View& out, const View& lse, const View& dout, const View& dq,
                             const View& dk, const View& dv);

  // --- training ---
  /// One pass of AdamW over a parameter p, its gradient g and the moments m, v: all compact.
  /// Loshchilov & Hutter (arXiv 1711.05101), algorithm 2.
  void (*adamw)(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v);
  /// Element i of `out` (row-major order) depends on (seed, offset + i) alone: Philox 4x32-10,
  /// Salmon et al. 2011. uniform in [0, 1), or standard normal. floating. See random.h.
  void (*random)(Random kind, uint64_t seed, uint64_t offset, const View& out);
  /// out[i] = x[i] / (1 - p), times 1 where uniform number offset + i is at least p as a float32, and
  /// times 0 elsewhere; i counts in row-major order. 0 <= p < 1. floating.
  void (*dropout)(uint64_t seed, uint64_t offset, double p, const View& x, const View& out);
};

}  // namespace needle
