// What xsimd 8.1 lacks on 64-bit ARM.  (Lesson 04)
#pragma once

#include <xsimd/xsimd.hpp>

#if defined(__aarch64__) && XSIMD_VERSION_MAJOR < 9
namespace xsimd::kernel {

using Floats = batch<float, neon64>;
using Ints = batch<int32_t, neon64>;

// Quotients and roots of floats are estimates, as they must be on 32-bit ARM: the last places are
// wrong, and infinities become NaN. 64-bit ARM has instructions that round correctly.
template <>
[[gnu::always_inline]] inline Floats div(const Floats& a, const Floats& b,
                                         requires_arch<neon>) noexcept {
  return vdivq_f32(a, b);
}
template <>
[[gnu::always_inline]] inline Floats sqrt(const Floats& x, requires_arch<neon>) noexcept {
  return vsqrtq_f32(x);
}

// These pick one function out of a tuple with those of all types. The result is the same, but a
// file that calls exp() takes several times as long to compile.
template <>
[[gnu::always_inline]] inline Floats select(const batch_bool<float, neon64>& condition,
                                            const Floats& a, const Floats& b,
                                            requires_arch<neon>) noexcept {
  return vbslq_f32(condition, a, b);
}
template <>
[[gnu::always_inline]] inline Ints bitwise_cast(const Floats& x, const Ints&,
                                                requires_arch<neon>) noexcept {
  return vreinterpretq_s32_f32(x);
}
template <>
[[gnu::always_inline]] inline Floats bitwise_cast(const Ints& x, const Floats&,
                                                  requires_arch<neon>) noexcept {
  return vreinterpretq_f32_s32(x);
}

}  // namespace xsimd::kernel
#endif
