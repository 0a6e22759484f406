// The slots of the GPU's table; what each does is said in needle/backend/kernels.h.  (Lesson 04)
#pragma once

#include "cuda/launch.h"
#include "needle/backend/kernels.h"

namespace needle::NEEDLE_GPU {

void fill(Scalar value, const View& out);
void copy(const View& x, const View& out);
void convert(const View& x, const View& out);  // copy's part for different dtypes
void unary(Unary op, const View& x, const View& out);
void unary_backward(Unary op, const View& x, const View& y, const View& dy, const View& dx);
void binary(Binary op, const View& a, const View& b, const View& out);
void compare(Compare op, const View& a, const View& b, const View& out);
void where(const View& condition, const View& a, const View& b, const View& out);
void reduce(Reduce op, const View& x, const View& out);
void arg_reduce(ArgReduce op, const View& x, int axis, const View& out);
void matmul(const View& a, const View& b, const View& out);
void conv2d(const Windows& w, int64_t groups, const View& x, const View& weight, const View& y);
void conv2d_input(const Windows& w, int64_t groups, const View& dy, const View& weight,
                  const View& dx);
void conv2d_weight(const Windows& w, int64_t groups, const View& dy, const View& x,
                   const View& dweight);
void pool_argmax(const Windows& w, const View& x, const View& index);
void softmax(bool log, const View& x, const View& out);
void softmax_backward(bool log, const View& y, const View& dy, const View& dx);
void norm(Norm kind, double eps, const View& x, const View& weight, const View& bias,
          const View& out, const View& mean, const View& rstd);
void norm_backward(Norm kind, const View& x, const View& weight, const View& mean, const View& rstd,
                   const View& dy, const View& dx, const View& dweight, const View& dbias);
void cross_entropy(const View& logits, const View& labels, const View& loss, const View& lse);
void cross_entropy_backward(const View& logits, const View& labels, const View& lse,
                            const View& dloss, const View& dlogits);
void gather(const View& table, const View& index, const View& out);
void scatter_rows(const View& index, const View& x, const View& table);
void rotary(bool inverse, const View& x, const View& cos, const View& sin, const View& out);
void attention(bool causal, double scale, const View& q, const View& k, const View& v,
               const View& out, const View& lse);
void attention_backward(bool causal, double scale, const View& q, const View& k, const View& v,
                        const View& out, const View& lse, const View& dout, const View& dq,
                        const View& dk, const View& dv);
void adamw(const AdamWStep& step, const View& p, const View& g, const View& m, const View& v);
void random(Random kind, uint64_t seed, uint64_t offset, const View& out);
void dropout(uint64_t seed, uint64_t offset, double p, const View& x, const View& out);

}  // namespace needle::NEEDLE_GPU
