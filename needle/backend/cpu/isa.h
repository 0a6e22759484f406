// What every cpu kernel file starts from.  (Lesson 04)
//
// These files are compiled once per instruction set, with -DNEEDLE_ISA=sse2, avx2, avx512 or neon and
// the matching flags; the namespace keeps the copies apart. Two rules follow. No std containers, and
// nothing from elsewhere that may become a function of its own: the linker keeps one copy of such
// a function, perhaps the one with AVX-512 in it. And all arithmetic goes through Vec, whose width
// is that of the instruction set.
#pragma once

#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "needle/array/region.h"
#include "needle/backend/cpu/neon.h"
#include "needle/backend/cpu/parallel.h"
#include "needle/backend/kernels.h"

namespace needle::NEEDLE_ISA {

void fill(Scalar value, const View& out);
void copy(const View& x, const View& out);
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

/// The widest vector of T: 4 floats with SSE2 and NEON, 8 with AVX2, 16 with AVX-512.
template <class T>
using Vec = xsimd::batch<T>;

template <class T>
inline constexpr int64_t kWidth = static_cast<int64_t>(Vec<T>::size);

[[gnu::always_inline]] inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// a * b + c, rounded once where the CPU can.
template <class T>
[[gnu::always_inline]] inline Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
#ifdef __AVX512F__  // xsimd 8.1 multiplies and adds separately here
  if constexpr (sizeof(T) == 4) {
    return _mm512_fmadd_ps(a, b, c);
  } else {
    return _mm512_fmadd_pd(a, b, c);
  }
#else
  return xsimd::fma(a, b, c);
#endif
}

template <class T>
[[gnu::always_inline]] inline T hsum(Vec<T> v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

/// The largest lane. A NaN lane is found only by chance: callers that care add up something NaN.
template <class T>
[[gnu::always_inline]] inline T hmax(Vec<T> v) {
  alignas(64) T lane[kWidth<T>];
  v.store_aligned(lane);
  T largest = lane[0];
  for (int64_t i = 1; i < kWidth<T>; ++i) largest = lane[i] > largest ? lane[i] : largest;
  return largest;
}

/// The first n < kWidth elements at p; the other lanes are `rest`.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_part(const T* p, int64_t n, T rest) {
  alignas(64) T lane[kWidth<T>];
  for (int64_t i = 0; i < kWidth<T>; ++i) lane[i] = i < n ? p[i] : rest;
  return Vec<T>::load_aligned(lane);
}

template <class T>
[[gnu::always_inline]] inline void store_part(T* p, int64_t n, Vec<T> v) {
  alignas(64) T lane[kWidth<T>];
  v.store_aligned(lane);
  for (int64_t i = 0; i < n; ++i) p[i] = lane[i];
}

/// A vector of T from elements of T, or of a type of two bytes.
template <class T, class S>
[[gnu::always_inline]] inline Vec<T> load_wide(const S* p) {
  if constexpr (std::is_same_v<T, S>) {
    return Vec<T>::load_unaligned(p);
  } else {
    alignas(64) T lane[kWidth<T>];
    for (int64_t i = 0; i < kWidth<T>; ++i) lane[i] = static_cast<T>(p[i]);
    return Vec<T>::load_aligned(lane);
  }
}

/// What `vectors` gives to its body, at offset i: load(p, rest) reads the vector at p + i, and
/// load.fetch(p) begins to bring it from memory, for later.
template <class T>
struct LoadAt {
  int64_t i;
  [[gnu::always_inline]] Vec<T> operator()(const T* p, T /*rest*/) const {
    return Vec<T>::load_unaligned(p + i);
  }
  [[gnu::always_inline]] void fetch(const T* p) const { __builtin_prefetch(p + i); }
};

/// The same for the last `count` elements; the other lanes are `rest`.
template <class T>
struct LoadPart {
  int64_t i, count;
  [[gnu::always_inline]] Vec<T> operator()(const T* p, T rest) const {
    return load_part<T>(p + i, count, rest);
  }
  [[gnu::always_inline]] void fetch(const T* p) const { __builtin_prefetch(p + i); }
};

/// Where a kernel writes a row of results: `past` the caches (stream.h) only if data is a multiple of the
/// vector's size.
template <class T>
struct Out {
  T* data;
  bool past = false;
  [[gnu::always_inline]] T& operator[](int64_t i) const { return data[i]; }
  [[gnu::always_inline]] Out operator+(int64_t i) const {
    return {data + i, past && i * int64_t{sizeof(T)} % int64_t{sizeof(Vec<float>)} == 0};
  }
};

/// v to p, past the caches where the CPU can; p is a multiple of the vector's size.
template <class T>
[[gnu::always_inline]] inline void store_past(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), xsimd::bitwise_cast<Vec<int64_t>>(v));
#elif defined(__AVX__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), xsimd::bitwise_cast<Vec<int64_t>>(v));
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), xsimd::bitwise_cast<Vec<int64_t>>(v));
#else
  v.store_unaligned(p);
#endif
}

/// And store(p, v) writes a vector at p + i.
template <class T>
struct StoreAt {
  int64_t i;
  [[gnu::always_inline]] void operator()(T* p, Vec<T> v) const { v.store_unaligned(p + i); }
  [[gnu::always_inline]] void operator()(const Out<T>& out, Vec<T> v) const {
    if (out.past) return store_past<T>(out.data + i, v);
    v.store_unaligned(out.data + i);
  }
};

template <class T>
struct StorePart {
  int64_t i, count;
  [[gnu::always_inline]] void operator()(T* p, Vec<T> v) const { store_part<T>(p + i, count, v); }
  [[gnu::always_inline]] void operator()(const Out<T>& out, Vec<T> v) const {
    store_part<T>(out.data + i, count, v);
  }
};

/// body(load, store) over [0, n) in vectors, the last, partial one included.
/// A body that computes an exponential or more needs [[gnu::always_inline]]: it is called in two
/// places, and the compiler does not copy a long one of its own accord.
template <class T, class Body>
[[gnu::always_inline]] inline void vectors(int64_t n, Body&& body) {
  int64_t i = 0;
  for (; i + kWidth<T> <= n; i += kWidth<T>) {
    body(LoadAt<T>{i}, StoreAt<T>{i});
  }
  if (i < n) {
    body(LoadPart<T>{i, n - i}, StorePart<T>{i, n - i});
  }
}

/// f(Tag<T>{}) for the floating T that `t` stands for.
template <class F>
[[gnu::always_inline]] inline void visit_floating(DType t, F&& f) {
  if (t == DType::float64) {
    f(Tag<double>{});
  } else {
    f(Tag<float>{});
  }
}

}  // namespace needle::NEEDLE_ISA
