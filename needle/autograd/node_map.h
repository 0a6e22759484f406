// NodeSet and Gradients: hash tables from nodes, for one walk through a graph.  (Lesson 03)
//
// std::unordered_map makes an object per entry; a walk through a hundred thousand nodes notices. Here
// the entries lie in one array, and an entry that is taken sends the search on to the next place
// (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R).
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "needle/autograd/tensor.h"

namespace needle {

/// An open-addressing table with Entry{const Node* node; ...}.
template <class Entry>
class NodeTable {
 public:
  /// The entry of `node`, or the empty place where it belongs (entry.node == nullptr).
  Entry& place(const Node* node) {
    size_t i = hash(node);
    while (entries_[i & mask()].node && entries_[i & mask()].node != node) ++i;
    return entries_[i & mask()];
  }

  /// The entry of `node`, new if need be; the second is whether it is new.
  std::pair<Entry*, bool> insert(const Node* node) {
    Entry* entry = &place(node);
    if (entry->node) return {entry, false};
    if (2 * ++used_ > entries_.size()) {
      grow(2 * entries_.size());
      entry = &place(node);
    }
    entry->node = node;
    return {entry, true};
  }

  void erase(Entry* entry) {
    size_t hole = static_cast<size_t>(entry - entries_.data());
    // Entries behind the hole move up, unless that would put them before the place they hash to.
    for (size_t i = (hole + 1) & mask(); entries_[i].node; i = (i + 1) & mask()) {
      const size_t home = hash(entries_[i].node) & mask();
      if (((i - home) & mask()) < ((i - hole) & mask())) continue;
      entries_[hole] = std::move(entries_[i]);
      hole = i;
    }
    entries_[hole] = {};
    --used_;
  }

 private:
  size_t mask() const { return entries_.size() - 1; }  // the size is a power of two

  /// Nodes of one memory page come near each other, wherever the page comes: nodes made one after
  /// the other are looked up one after the other, and the processor's cache is of use.
  static size_t hash(const Node* node) {
    const auto address = reinterpret_cast<uintptr_t>(node);
    return (address >> 12) * 0x9E3779B97F4A7C15u / 65536 + (address >> 4) % 256;
  }

  void grow(size_t size) {
    std::vector<Entry> old(size);
    old.swap(entries_);
    for (Entry& entry : old) {
      if (entry.node) place(entry.node) = std::move(entry);
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(16);
  size_t used_ = 0;
};

/// std::unordered_set<const Node*>, but faster: seen.insert(node).second tells what is new.
class NodeSet {
 public:
  auto insert(const Node* node) { return table_.insert(node); }

 private:
  struct Entry {
    const Node* node = nullptr;
  };
  NodeTable<Entry> table_;
};

/// std::unordered_map<const Node*, Tensor>, but faster.
class Gradients {
 public:
  struct Entry {
    const Node* node = nullptr;
    Tensor second;
  };

  Tensor& operator[](const Node* node) { return table_.insert(node).first->second; }
  /// end() if there is none.
  Entry* find(const Node* node) {
    Entry& entry = table_.place(node);
    return entry.node ? &entry : end();
  }
  Entry* end() { return nullptr; }
  void erase(Entry* entry) { table_.erase(entry); }

 private:
  NodeTable<Entry> table_;
};

}  // namespace needle
