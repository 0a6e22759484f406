// MergeTable: (left token, right token) -> what the pair merges into, and how early.  (Lesson 06)
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

namespace needle::text {

/// A hash table with open addressing, for encoding looks up nearly every pair of neighbours.
class MergeTable {
 public:
  struct Merge {
    int rank;  // 0: learned first
    int id;    // the merged token
  };

  explicit MergeTable(size_t merges = 0) : slots_(std::bit_ceil(2 * merges + 1)) {}

  /// A pair given twice keeps the last. Precondition: ids are not negative, and there are at most
  /// as many pairs as announced.
  void insert(int left, int right, Merge merge) {
    const uint64_t key = key_of(left, right);
    Slot& slot = slots_[index_of(key)];
    slot = {key, merge};
  }

  std::optional<Merge> find(int left, int right) const {
    const uint64_t key = key_of(left, right);
    const Slot& slot = slots_[index_of(key)];
    if (slot.key != key) return std::nullopt;
    return slot.merge;
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};

  struct Slot {
    uint64_t key = kFree;
    Merge merge{};
  };

  static uint64_t key_of(int left, int right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }

  // Where the key is, or the free slot where it belongs. At most half of the slots are in use.
  size_t index_of(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t i = static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & mask;
    while (slots_[i].key != kFree && slots_[i].key != key) i = (i + 1) & mask;
    return i;
  }

  std::vector<Slot> slots_;  // a power of two
};

}  // namespace needle::text
