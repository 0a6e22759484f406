// Operations of a warp: shuffles, votes, reductions.  (Lesson 04)
//
// Every lane that the mask names must come to the same call with the same mask, as on a GPU since
// Volta; the simulator says so if one does not.
#pragma once

#include <cstdint>
#include <source_location>
#include <type_traits>

namespace needle::sim {

enum class WarpOp : uint8_t {
  sync,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  match_any,
  match_all,
  add,
  min_int,
  max_int,
  min_unsigned,
  max_unsigned,
  bit_and,
  bit_or,
  bit_xor,
};

/// Waits for all lanes of the mask, then gives this lane's result. `lane` is the source, the distance
/// or the lane mask of a shuffle among groups of `width` lanes.
uint64_t warp_exchange(WarpOp op, unsigned mask, uint64_t value, int lane, int width,
                       std::source_location place);
/// The lanes of this warp that have not ended.
uint32_t live_lanes();

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int lane, int width, std::source_location place) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "shuffles move numbers of 4 or 8 bytes");
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return __builtin_bit_cast(T, static_cast<Bits>(warp_exchange(
                                   op, mask, __builtin_bit_cast(Bits, value), lane, width, place)));
}

template <class T>
T reduce(WarpOp op, unsigned mask, T value, std::source_location place) {
  static_assert(std::is_integral_v<T> && sizeof(T) == 4, "warps reduce int and unsigned");
  const auto bits = static_cast<uint32_t>(value);
  return static_cast<T>(static_cast<uint32_t>(warp_exchange(op, mask, bits, 0, 32, place)));
}

inline uint32_t ballot(unsigned mask, bool vote, std::source_location place) {
  return static_cast<uint32_t>(warp_exchange(WarpOp::ballot, mask, vote, 0, 32, place));
}

}  // namespace needle::sim

inline void __syncwarp(unsigned mask = 0xffffffff,
                       std::source_location place = std::source_location::current()) {
  needle::sim::warp_exchange(needle::sim::WarpOp::sync, mask, 0, 0, 32, place);
}
inline unsigned __activemask() { return needle::sim::live_lanes(); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              std::source_location place = std::source_location::current()) {
  return needle::sim::shuffle(needle::sim::WarpOp::shuffle, mask, value, source, width, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 std::source_location place = std::source_location::current()) {
  return needle::sim::shuffle(needle::sim::WarpOp::shuffle_up, mask, value, static_cast<int>(delta),
                              width, place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   std::source_location place = std::source_location::current()) {
  return needle::sim::shuffle(needle::sim::WarpOp::shuffle_down, mask, value,
                              static_cast<int>(delta), width, place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  std::source_location place = std::source_location::current()) {
  return needle::sim::shuffle(needle::sim::WarpOp::shuffle_xor, mask, value, lane_mask, width,
                              place);
}

inline unsigned __ballot_sync(unsigned mask, int vote,
                              std::source_location place = std::source_location::current()) {
  return needle::sim::ballot(mask, vote != 0, place);
}
inline int __any_sync(unsigned mask, int vote,
                      std::source_location place = std::source_location::current()) {
  return needle::sim::ballot(mask, vote != 0, place) != 0;
}
inline int __all_sync(unsigned mask, int vote,
                      std::source_location place = std::source_location::current()) {
  return needle::sim::ballot(mask, vote != 0, place) == mask;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          std::source_location place = std::source_location::current()) {
  return needle::sim::shuffle<uint64_t>(needle::sim::WarpOp::match_any, mask,
                                        static_cast<uint64_t>(value), 0, 32, place);
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all,
                          std::source_location place = std::source_location::current()) {
  const auto same = static_cast<unsigned>(needle::sim::shuffle<uint64_t>(
      needle::sim::WarpOp::match_all, mask, static_cast<uint64_t>(value), 0, 32, place));
  *all = same != 0;
  return same;
}

template <class T>
T __reduce_add_sync(unsigned mask, T value,
                    std::source_location place = std::source_location::current()) {
  return needle::sim::reduce(needle::sim::WarpOp::add, mask, value, place);
}
template <class T>
T __reduce_min_sync(unsigned mask, T value,
                    std::source_location place = std::source_location::current()) {
  using Op = needle::sim::WarpOp;
  return needle::sim::reduce(std::is_signed_v<T> ? Op::min_int : Op::min_unsigned, mask, value,
                             place);
}
template <class T>
T __reduce_max_sync(unsigned mask, T value,
                    std::source_location place = std::source_location::current()) {
  using Op = needle::sim::WarpOp;
  return needle::sim::reduce(std::is_signed_v<T> ? Op::max_int : Op::max_unsigned, mask, value,
                             place);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value,
                                  std::source_location place = std::source_location::current()) {
  return needle::sim::reduce(needle::sim::WarpOp::bit_and, mask, value, place);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value,
                                 std::source_location place = std::source_location::current()) {
  return needle::sim::reduce(needle::sim::WarpOp::bit_or, mask, value, place);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value,
                                  std::source_location place = std::source_location::current()) {
  return needle::sim::reduce(needle::sim::WarpOp::bit_xor, mask, value, place);
}
