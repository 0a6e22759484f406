// MergeTable: (left token, right token) -> what the pair merges into, and how early.  (Lesson 06)
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace needle::text {

/// A sparse matrix in compressed rows: one row per left token, sorted by right token. Most rows are
/// short, so finding a pair takes a few steps within one or two cache lines, and the table takes 12
/// bytes a merge.
class MergeTable {
 public:
  struct Merge {
    int rank;  // 0: learned first
    int id;    // the merged token
  };

  MergeTable() = default;

  /// Merge number i joins the tokens `pairs[i]` into `merged[i]`. A pair given twice keeps the last.
  /// Precondition: every left id is in [0, tokens).
  MergeTable(size_t tokens, std::span<const std::pair<int, int>> pairs, std::span<const int> merged)
      : begin_(tokens + 1), entries_(pairs.size()) {
    for (const auto& [left, right] : pairs) ++begin_[left + 1];
    for (size_t i = 0; i < tokens; ++i) begin_[i + 1] += begin_[i];
    // Filling a row moves its begin to its end, which is the next row's begin.
    for (size_t i = 0; i < pairs.size(); ++i) {
      entries_[begin_[pairs[i].first]++] = {pairs[i].second, {static_cast<int>(i), merged[i]}};
    }
    std::copy_backward(begin_.begin(), begin_.end() - 1, begin_.end());
    begin_[0] = 0;
    for (size_t i = 0; i < tokens; ++i) {
      std::sort(entries_.begin() + begin_[i], entries_.begin() + begin_[i + 1],
                [](const Entry& a, const Entry& b) {
                  return std::pair(a.right, a.merge.rank) < std::pair(b.right, b.merge.rank);
                });
    }
  }

  /// Precondition: left is in [0, tokens).
  std::optional<Merge> find(int left, int right) const {
    const Entry* begin = entries_.data() + begin_[left];
    const Entry* end = entries_.data() + begin_[left + 1];
    const Entry* after = std::upper_bound(
        begin, end, right, [](int wanted, const Entry& entry) { return wanted < entry.right; });
    if (after == begin || after[-1].right != right) return std::nullopt;
    return after[-1].merge;
  }

 private:
  struct Entry {
    int right;
    Merge merge;
  };

  std::vector<uint32_t> begin_;  // of each row in entries_, and the end of the last
  std::vector<Entry> entries_;
};

}  // namespace needle::text
