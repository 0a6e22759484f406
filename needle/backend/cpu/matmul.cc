// matmul: batches and threads.  (Lesson 04)
#include "needle/backend/cpu/panels.h"
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

constexpr int64_t kFlopsPerThread = 500000;  // at least; below, waking a thread costs more

template <class T>
void multiply(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  if (thin<T>(m, n, k, a, b, c)) return;
  if (thin<T>(n, m, k, transposed(b), transposed(a), transposed(c))) return;
  // Threads share the longer side of C, in whole tiles; each packs what it needs itself.
  const int64_t tile = m >= n ? kRows : kColumns<T>;
  const int64_t side = m >= n ? m : n;
  const int64_t tiles = (side + tile - 1) / tile;
  const int64_t tile_flops = 2 * m * n * k / tiles + 1;
  parallel_for(tiles, 1 + kFlopsPerThread / tile_flops, [&](int64_t first, int64_t last) {
    const int64_t begin = first * tile, end = least(last * tile, side);
    if (m >= n) {
      gemm<T>(end - begin, n, k, {a.data + begin * a.row, a.row, a.column}, b,
              {c.data + begin * c.row, c.row, 1}, false);
    } else {
      gemm<T>(m, end - begin, k, a, {b.data + begin * b.column, b.row, b.column},
              {c.data + begin, c.row, 1}, false);
    }
  });
}

template <class T>
void matmul_as(const View& a, const View& b, const View& out) {
  const int last = out.ndim() - 1;
  const int64_t m = out.shape[last - 1];
  const int64_t n = out.shape[last];
  const int64_t k = a.shape[last];
  int64_t batch = 1;
  for (int axis = 0; axis < last - 1; ++axis) batch *= out.shape[axis];
  if (m * n * batch == 0) return;

  const auto one = [&](int64_t index) {
    int64_t at[3] = {};
    for (int axis = last - 2; axis >= 0; --axis) {
      const int64_t i = index % out.shape[axis];
      index /= out.shape[axis];
      at[0] += i * a.strides[axis];
      at[1] += i * b.strides[axis];
      at[2] += i * out.strides[axis];
    }
    multiply<T>(m, n, k, {a.as<T>() + at[0], a.strides[last - 1], a.strides[last]},
                {b.as<T>() + at[1], b.strides[last - 1], b.strides[last]},
                {out.as<T>() + at[2], out.strides[last - 1], out.strides[last]});
  };
  // Many small products: a thread takes whole ones. Inside, multiply() does not cut again.
  const int64_t grain = 1 + kFlopsPerThread / (2 * m * n * k + 1);
  if (batch < max_pieces()) {
    for (int64_t i = 0; i < batch; ++i) one(i);
  } else {
    parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) one(i);
    });
  }
}

/// Products of float16 or bfloat16: those of the same numbers as float32, rounded once at the end.
void multiply_halves(const View& a, const View& b, const View& out) {
  // Like x, but compact float32 in scratch memory; a broadcast axis stays one.
  const auto like = [](const View& x, int which, View* once = nullptr) {
    View wide = x;
    wide.dtype = DType::float32;
    int64_t size = 1;
    for (int axis = x.ndim() - 1; axis >= 0; --axis) {
      const bool same = once && x.strides[axis] == 0 && x.shape[axis] > 1;
      wide.strides[axis] = same ? 0 : size;
      if (same) once->shape[axis] = 1;
      if (!same) size *= x.shape[axis];
    }
    wide.data = scratch(which, static_cast<size_t>(size) * sizeof(float));
    return wide;
  };
  const auto widened = [&](const View& x, int which) {
    View once = x;  // x without its repetitions
    const View wide = like(x, which, &once);
    View target = wide;
    target.shape = once.shape;
    copy(once, target);
    return wide;
  };
  const View wide_a = widened(a, 4), wide_b = widened(b, 5);
  if (!is_half(out.dtype)) return matmul(wide_a, wide_b, out);
  const View wide = like(out, 3);
  matmul(wide_a, wide_b, wide);
  copy(wide, out);
}

}  // namespace

void matmul(const View& a, const View& b, const View& out) {
  if (is_half(a.dtype)) return multiply_halves(a, b, out);
  visit_floating(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool compact_columns = out.strides.back() == 1 || out.shape.back() == 1;
    if (compact_columns) return matmul_as<T>(a, b, out);
    // C^T = B^T A^T: a C with compact rows is one with compact columns, seen from the side.
    View at = a, bt = b, ct = out;
    for (View* v : {&at, &bt, &ct}) {
      const int last = v->ndim() - 1;
      const int64_t size = v->shape[last], stride = v->strides[last];
      v->shape[last] = v->shape[last - 1], v->strides[last] = v->strides[last - 1];
      v->shape[last - 1] = size, v->strides[last - 1] = stride;
    }
    if (ct.strides.back() == 1 || ct.shape.back() == 1) return matmul_as<T>(bt, at, ct);
    // Neither: compute into compact scratch memory, then copy.
    const View aside = stand_in(out, 3);
    matmul_as<T>(a, b, aside);
    copy(aside, out);
  });
}

}  // namespace needle::NEEDLE_ISA
