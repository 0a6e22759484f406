// How the reference kernels read and write their operands: as xtensor arrays of two wide types.
// (Lesson 02)
//
// Every kernel here has one shape: load each operand, whatever its strides, into a compact array of
// double or int64_t; compute; store the result, rounding to the dtype of the output. So each kernel
// is written once for all dtypes, and an output may lie over an input. float32 +, -, *, / and sqrt
// done in double and rounded once more are exactly those of float32. Sums run in double, too: those
// of float32 are right to its last place, and those of float64 as right as a plain sum, which is all
// that is asked of a kernel (tests/conformance/cases.h: at most n / 4 roundings off). long double
// would be better on x86 alone; on ARM it is a function call an addition.
#pragma once

#include <type_traits>
#include <vector>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include "needle/array/error.h"
#include "needle/backend/kernels.h"

namespace needle::reference {

template <class Wide>
using Array = xt::xarray<Wide, xt::layout_type::row_major>;
using Reals = Array<double>;
using Integers = Array<int64_t>;
using Sum = double;

// g++ in C++20 mode takes the list of sizes inside an xarray for one of fixed length, and then
// evaluates a sum of two arrays of any rank to an array of rank 4, silently.
static_assert(std::is_same_v<decltype(xt::eval(Reals() + Reals())), Reals>,
              "compile everything that sees xtensor with -fno-new-ttp-matching");

/// A compact copy in the wide type: double for floating dtypes, int64_t for the others.
template <class Wide>
Array<Wide> load(const View& x);
inline Reals reals(const View& x) { return load<double>(x); }
inline Integers integers(const View& x) { return load<int64_t>(x); }

/// reals(x) with all axes but the last made one: (rows, n).
Reals rows(const View& x);

/// Writes values (as many as `out` has elements, in row-major order) through the view, converted:
/// to an int by truncation, to bool by != 0.
template <class Wide>
void store(Array<Wide> values, const View& out);

/// Calls f(Tag<Wide>{}) with the wide type that holds every value of `t`.
template <class F>
void visit_wide(DType t, F&& f) {
  if (is_floating(t)) {
    f(Tag<double>{});
  } else {
    f(Tag<int64_t>{});
  }
}

/// Sizes as xtensor takes them. (It also takes signed ones, where -1 is inferred, and then divides by
/// the product of the sizes, which may be 0.)
inline std::vector<size_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// a op b for integers that wrap around: computed without sign, where C++ defines it.
template <class F>
int64_t wrap(F f, int64_t a, int64_t b) {
  return static_cast<int64_t>(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
}

/// The larger or smaller of two numbers; NaN if either is.
template <class Wide>
Wide maximum(Wide a, Wide b) {
  return a != a || a > b ? a : b;
}
template <class Wide>
Wide minimum(Wide a, Wide b) {
  return a != a || a < b ? a : b;
}

// The slots; what each does is said in kernels.h.

// memory.cc
void fill(Scalar value, const View& out);
void copy(const View& x, const View& out);

// elementwise.cc
void unary(Unary op, const View& x, const View& out);
void unary_backward(Unary op, const View& x, const View& y, const View& dy, const View& dx);
void binary(Binary op, const View& a, const View& b, const View& out);
void compare(Compare op, const View& a, const View& b, const View& out);
void where(const View& condition, const View& a, const View& b, const View& out);

// reduce.cc
void reduce(Reduce op, const View& x, const View& out);
void arg_reduce(ArgReduce op, const View& x, int axis, const View& out);

// matmul.cc
void matmul(const View& a, const View& b, const View& out);

// images.cc
void conv2d(const Windows& w, int64_t groups, const View& x, const View& weight, const View& y);
void conv2d_input(const Windows& w, int64_t groups, const View& dy, const View& weight,
                  const View& dx);
void conv2d_weight(const Windows& w, int64_t groups, const View& dy, const View& x,
                   const View& dweight);
void pool_argmax(const Windows& w, const View& x, const View& index);

// rows.cc
void softmax(bool log, const View& x, const View& out);
void softmax_backward(bool log, const View& y, const View& dy, const View& dx);
void norm(Norm kind, double eps, const View& x, const View& weight, const View& bias,
          const View& out, const View& mean, const View& rstd);
void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias);
void cross_entropy(const View& logits, const View& labels, const View& loss, const View& lse);
void cross_entropy_backward(const View& logits, const View& labels, const View& lse,
                            const View& dloss, const View& dlogits);

// index.cc
void gather(const View& table, const View& index, const View& out);
void scatter_rows(const View& index, const View& x, const View& table);

// attention.cc
void rotary(bool inverse, const View& x, const View& cos, const View& sin, const View& out);
void attention(bool causal, double scale, const View& q, const View& k, const View& v,
               const View& out, const View& lse);
void attention_backward(bool causal, double scale, const View& q, const View& k, const View& v,
                        const View& out, const View& lse, const View& dout, const View& dq,
                        const View& dk, const View& dv);

// training.cc
void adamw(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v);
void random(Random kind, uint64_t seed, uint64_t offset, const View& out);
void dropout(uint64_t seed, uint64_t offset, double p, const View& x, const View& out);

}  // namespace needle::reference
