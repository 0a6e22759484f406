// What the rungs of the ladders share. Their ideas stand in their own files.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/isa.h"
#include "needle/backend/ladder.h"

namespace needle::NEEDLE_ISA {

void matmul_v1(const View& a, const View& b, const View& out);
void matmul_v2(const View& a, const View& b, const View& out);
void matmul_v3(const View& a, const View& b, const View& out);
void matmul_v4(const View& a, const View& b, const View& out);
void matmul_v5(const View& a, const View& b, const View& out);
void matmul_v6(const View& a, const View& b, const View& out);
void matmul_v7(const View& a, const View& b, const View& out);
void softmax_v1(bool log, const View& x, const View& out);
void softmax_v2(bool log, const View& x, const View& out);
void softmax_v3(bool log, const View& x, const View& out);
void sum_v1(Reduce op, const View& x, const View& out);
void sum_v2(Reduce op, const View& x, const View& out);
void sum_v3(Reduce op, const View& x, const View& out);
void sum_v4(Reduce op, const View& x, const View& out);
void sum_v5(Reduce op, const View& x, const View& out);

/// C (m, n) = A (m, k) B (k, n), all three with compact rows.
struct Product {
  int64_t m, n, k;
  const float* a;
  const float* b;
  float* c;
};

[[gnu::always_inline]] inline Product product_of(const View& a, const View& b, const View& out) {
  return {out.shape[0], out.shape[1], a.shape[1], a.as<float>(), b.as<float>(), out.as<float>()};
}

/// The rows of a softmax, one after the other.
struct RowList {
  int64_t count, n;
  const float* x;
  float* y;
};

[[gnu::always_inline]] inline RowList rows_of(const View& x, const View& out) {
  const int64_t n = x.shape[x.ndim() - 1];
  return {n == 0 ? 0 : x.size() / n, n, x.as<float>(), out.as<float>()};
}

}  // namespace needle::NEEDLE_ISA
