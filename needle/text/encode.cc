// Tokenizer::encode: words are merged pair by pair, the earliest learned merge first.  (Lesson 06)
#include <algorithm>
#include <bit>
#include <limits>

#include "needle/array/error.h"
#include "needle/text/tokenizer.h"
#include "needle/text/unicode.h"

namespace needle::text {
namespace {

// A token of the word in the making, linked to its neighbours.
struct Symbol {
  int id;
  int next;  // index of the right neighbour, -1 at the end
  int previous;
};

// A pair of neighbours that may be merged; stale once either of them has changed.
struct Candidate {
  uint64_t order;  // rank, then position: the heap's smallest is merged next
  int left, right;
  int merged;
};

// Where the ids of a word that occurred earlier in the same text lie in the output.
struct Seen {
  std::string_view word;
  size_t first = 0;
  size_t count = 0;
};

}  // namespace

/// One call of encode(). Its working memory is reused from word to word.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, size_t text_size)
      : tokenizer_(tokenizer),
        seen_(text_size < 256 ? 0 : std::bit_ceil(std::min<size_t>(text_size / 16, 1 << 14))) {}

  void encode(std::string_view text) {
    for_each_word(tokenizer_.parts_.pre_tokenizer, text, [this](std::string_view w) { word(w); });
  }
  void add(int id) { ids_.push_back(id); }
  /// To be called when text that was encoded is about to go away.
  void forget() { std::fill(seen_.begin(), seen_.end(), Seen{}); }
  std::vector<int> take() { return std::move(ids_); }

 private:
  void word(std::string_view word) {
    if (seen_.empty() || word.size() == 1) return merge(word);
    Seen& seen = seen_[std::hash<std::string_view>{}(word) & (seen_.size() - 1)];
    if (seen.word == word) {
      ids_.resize(ids_.size() + seen.count);
      std::copy_n(ids_.begin() + seen.first, seen.count, ids_.end() - seen.count);
      return;
    }
    const size_t first = ids_.size();
    merge(word);
    seen = {word, first, ids_.size() - first};
  }

  void merge(std::string_view word) {
    if (tokenizer_.parts_.ignore_merges) {
      const auto found = tokenizer_.words_.find(word);
      if (found != tokenizer_.words_.end()) return add(found->second);
    }
    const int size = static_cast<int>(word.size());
    symbols_.resize(word.size());
    for (int i = 0; i < size; ++i) {
      const int id = tokenizer_.byte_ids_[static_cast<unsigned char>(word[i])];
      symbols_[i] = {id, i + 1 < size ? i + 1 : -1, i - 1};
    }
    heap_.clear();
    for (int i = 0; i + 1 < size; ++i) consider(i);
    std::make_heap(heap_.begin(), heap_.end(), later);

    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const Candidate best = heap_.back();
      heap_.pop_back();
      apply(best);
    }
    for (int i = 0; i >= 0; i = symbols_[i].next) add(symbols_[i].id);
  }

  // Appends the pair that starts at symbol i, if it has a merge. Does not restore the heap.
  bool consider(int i) {
    const int left = symbols_[i].id, right = symbols_[symbols_[i].next].id;
    const auto merge = tokenizer_.merge_table_.find(left, right);
    if (!merge) return false;
    const uint64_t order =
        uint64_t{static_cast<uint32_t>(merge->rank)} << 32 | static_cast<uint32_t>(i);
    heap_.push_back({order, left, right, merge->id});
    return true;
  }

  void apply(const Candidate& best) {
    constexpr int kGone = -1;
    const int i = static_cast<int>(best.order & 0xffffffffu);
    Symbol& symbol = symbols_[i];
    if (symbol.id != best.left || symbol.next < 0 || symbols_[symbol.next].id != best.right) return;
    Symbol& right = symbols_[symbol.next];
    symbol.id = best.merged;
    symbol.next = right.next;
    right.id = kGone;
    if (symbol.next >= 0) {
      symbols_[symbol.next].previous = i;
      if (consider(i)) std::push_heap(heap_.begin(), heap_.end(), later);
    }
    if (symbol.previous >= 0 && consider(symbol.previous)) {
      std::push_heap(heap_.begin(), heap_.end(), later);
    }
  }

  static bool later(const Candidate& a, const Candidate& b) { return a.order > b.order; }

  const Tokenizer& tokenizer_;
  std::vector<int> ids_;
  std::vector<Seen> seen_;  // direct-mapped by the word's hash: a power of two, or empty
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

std::vector<int> Tokenizer::encode(std::string_view text) const {
  if (text.size() > std::numeric_limits<int>::max()) {
    throw ValueError(str("encode: ", text.size(), " bytes of text; at most ",
                         std::numeric_limits<int>::max(), " fit in one call"));
  }
  Encoder encoder(*this, text.size());
  const auto plain = [&](std::string_view part) {
    if (!parts_.nfc) return encoder.encode(part);
    encoder.encode(to_nfc(part));
    encoder.forget();
  };
  if (literal_.empty()) {
    plain(text);
    return encoder.take();
  }
  size_t begin = 0;  // of the text since the last added token
  for (size_t at = 0; at < text.size();) {
    const auto found = std::find_if(literal_.begin(), literal_.end(), [&](size_t i) {
      return text.substr(at).starts_with(parts_.added[i].content);
    });
    if (found == literal_.end()) {
      ++at;
      continue;
    }
    plain(text.substr(begin, at - begin));
    encoder.add(parts_.added[*found].id);
    at += parts_.added[*found].content.size();
    begin = at;
  }
  plain(text.substr(begin));
  return encoder.take();
}

}  // namespace needle::text
