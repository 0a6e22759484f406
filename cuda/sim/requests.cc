// The cost of one request of a warp.  (Lesson 04)
#include <algorithm>

#include "cuda/sim/counters.h"

namespace needle::sim {
namespace {

/// The distinct values of f(address + i * step) for all lanes that count, i * step < bytes; sorted.
/// At most 32 * 16.
struct Distinct {
  uintptr_t values[32 * 16];
  int count = 0;

  void add(uintptr_t value) {
    // Neighbouring lanes mostly touch the same or the next.
    if (count == 0 || values[count - 1] != value) values[count++] = value;
  }
  void finish() {
    if (!std::is_sorted(values, values + count)) std::sort(values, values + count);
    count = static_cast<int>(std::unique(values, values + count) - values);
  }
};

template <class Each>
void for_lanes(const std::array<uintptr_t, 32>& at, uint32_t lanes, Each each) {
  for (; lanes; lanes &= lanes - 1) each(at[__builtin_ctz(lanes)]);
}

/// Of the lanes from `first` on: how many distinct words the busiest bank has to give.
int64_t busiest_bank(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes) {
  Distinct words;
  for_lanes(at, lanes, [&](uintptr_t address) {
    for (uintptr_t word = address / 4; word <= (address + bytes - 1) / 4; ++word) words.add(word);
  });
  words.finish();
  int64_t per_bank[32] = {};
  for (int i = 0; i < words.count; ++i) ++per_bank[words.values[i] % 32];
  return *std::max_element(per_bank, per_bank + 32);
}

size_t lanes_at_once(size_t bytes) { return bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8; }

template <class Each>
void for_groups(uint32_t lanes, size_t bytes, Each each) {
  const size_t size = lanes_at_once(bytes);
  const uint32_t group = static_cast<uint32_t>((uint64_t{1} << size) - 1);
  for (size_t first = 0; first < 32; first += size) {
    if (lanes & group << first) each(lanes & group << first);
  }
}

}  // namespace

int64_t sectors(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes) {
  Distinct found;
  for_lanes(at, lanes, [&](uintptr_t address) {
    found.add(address / 32);
    found.add((address + bytes - 1) / 32);
  });
  found.finish();
  return found.count;
}

int64_t ideal_sectors(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes) {
  Distinct found;
  for_lanes(at, lanes, [&](uintptr_t address) { found.add(address); });
  found.finish();
  int64_t distinct = 0;
  uintptr_t end = 0;
  for (int i = 0; i < found.count; ++i) {
    const uintptr_t begin = std::max(found.values[i], end);
    end = found.values[i] + bytes;
    distinct += static_cast<int64_t>(end - begin);
  }
  return (distinct + 31) / 32;
}

int64_t wavefronts(const std::array<uintptr_t, 32>& at, uint32_t lanes, size_t bytes) {
  int64_t sum = 0;
  for_groups(lanes, bytes, [&](uint32_t group) { sum += busiest_bank(at, group, bytes); });
  return sum;
}

int64_t ideal_wavefronts(uint32_t lanes, size_t bytes) {
  int64_t groups = 0;
  for_groups(lanes, bytes, [&](uint32_t) { ++groups; });
  return groups;
}

}  // namespace needle::sim
