// Copies to another dtype.  (Lessons 02 and 04)
#include <limits>

#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

/// x as a To. C++ leaves floating -> int undefined where the value does not fit (and for NaN); here
/// the result is then the smallest int.
template <class To, class From>
struct Convert {
  __device__ To operator()(From x) const {
    if constexpr (std::is_same_v<To, From>) {
      return x;
#ifdef __CUDA_ARCH__
    } else if constexpr (is_half_v<To> && std::is_same_v<From, float>) {
      uint16_t bits;  // one instruction
      if constexpr (std::is_same_v<To, float16>)
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
      if constexpr (std::is_same_v<To, bfloat16>)
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
      return To::from_bits(bits);
    } else if constexpr (std::is_same_v<From, float16> && std::is_same_v<To, float>) {
      float value;
      asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
      return value;
    } else if constexpr (std::is_same_v<From, float16>) {
      return Convert<To, float>{}(Convert<float, float16>{}(x));
#endif
    } else if constexpr (is_half_v<From>) {
      return Convert<To, float>{}(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, bool>) {
      return x != 0;
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
      constexpr To kSmallest = std::numeric_limits<To>::min();
      const From whole = std::trunc(x);
      // -kSmallest is 2^31 or 2^63: exact as a float, unlike the largest int.
      const bool fits = whole >= From(kSmallest) && whole < -From(kSmallest);
      return fits ? static_cast<To>(whole) : kSmallest;
    } else {
      return static_cast<To>(x);
    }
  }
};

/// What lies at p, of a dtype that is known only now, as a To.
template <class To>
__device__ To read_as(DType dtype, const char* p) {
  const auto as = [p]<class From>(From) {
    return Convert<To, From>{}(*reinterpret_cast<const From*>(p));
  };
  switch (dtype) {
    case DType::bool_: return as(bool{});
    case DType::int32: return as(int32_t{});
    case DType::int64: return as(int64_t{});
    case DType::float16: return as(float16{});
    case DType::bfloat16: return as(bfloat16{});
    case DType::float32: return as(float{});
    default: return as(double{});
  }
}

/// Any dtype to T, one element a thread: one kernel instead of six. All threads take the same branch.
template <class T>
__global__ void convert_kernel(const Walk<2> w, DType from) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= w.size) return;
  int64_t at[2];
  w.locate(i, at);
  *reinterpret_cast<T*>(w.data[0] + at[0]) = read_as<T>(from, w.data[1] + at[1]);
}

}  // namespace

void convert(const View& x, const View& out) {
  const auto w = walk(Order::memory, out, x);
  if (w.size == 0) return;
  // From and to float32 is what training does all the time: several elements a thread.
  if (x.dtype == DType::float32) {
    return visit_dtype(out.dtype, [&]<class To>(Tag<To>) {
      if constexpr (!std::is_same_v<To, float>) map<To, float>(w, Convert<To, float>{});
    });
  }
  if (out.dtype == DType::float32) {
    return visit_dtype(x.dtype, [&]<class From>(Tag<From>) {
      if constexpr (!std::is_same_v<From, float>) map<float, From>(w, Convert<float, From>{});
    });
  }
  visit_dtype(out.dtype, [&]<class To>(Tag<To>) {
    constexpr int kThreads = 256;
    const auto blocks = static_cast<unsigned>(ceil_div(w.size, int64_t{kThreads}));
    NEEDLE_LAUNCH((convert_kernel<To>), blocks, kThreads, 0, w, x.dtype);
  });
}

}  // namespace needle::NEEDLE_GPU
