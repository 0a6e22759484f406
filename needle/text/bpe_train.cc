// Training of byte-pair encoding: which pairs to merge, most frequent first.  (Lesson 06)
//
// Counting all pairs again after each merge would take (merges) x (text) steps. Two savings make it
// fast: equal words are kept once with their count, and a merge looks only at the words that hold
// the pair, correcting the counts of the neighbours that it creates and destroys.
#include "needle/text/bpe_train.h"

#include <algorithm>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>

#include "needle/text/byte_level.h"

namespace needle::text {
namespace {

struct Word {
  std::vector<int> symbols;
  int64_t count;  // occurrences in the text
};

using Pair = std::pair<int, int>;  // left, right

struct PairHash {
  size_t operator()(const Pair& p) const {
    const uint64_t key =
        uint64_t{static_cast<uint32_t>(p.first)} << 32 | static_cast<uint32_t>(p.second);
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> 16);
  }
};

struct PairInfo {
  int64_t count = 0;
  std::vector<int> words;  // indices of words that hold the pair, or held it once; ascending
};

// A pair with the count that it had when it entered the queue.
struct Entry {
  int64_t count;
  Pair pair;

  bool operator<(const Entry& other) const {  // the queue's top is the greatest
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

std::vector<Word> count_words(std::string_view text, const std::array<int, 256>& byte_ids) {
  std::unordered_map<std::string_view, int> index;
  std::vector<Word> words;
  for_each_word(PreTokenizer{}, text, [&](std::string_view bytes) {
    const auto [found, is_new] = index.try_emplace(bytes, static_cast<int>(words.size()));
    if (!is_new) {
      ++words[found->second].count;
      return;
    }
    Word word{{}, 1};
    word.symbols.reserve(bytes.size());
    for (const unsigned char b : bytes) word.symbols.push_back(byte_ids[b]);
    words.push_back(std::move(word));
  });
  return words;
}

class Trainer {
 public:
  explicit Trainer(std::vector<Word> words) : words_(std::move(words)) {
    for (int w = 0; w < static_cast<int>(words_.size()); ++w) {
      const std::vector<int>& s = words_[w].symbols;
      for (size_t i = 0; i + 1 < s.size(); ++i) change({s[i], s[i + 1]}, +1, w);
    }
    for (const auto& [pair, info] : pairs_) queue_.push({info.count, pair});
  }

  /// The most frequent pair, or nullopt if no word has two symbols left.
  std::optional<Pair> pop() {
    while (!queue_.empty()) {
      const Entry top = queue_.top();
      queue_.pop();
      const int64_t count = pairs_.at(top.pair).count;
      if (count <= 0) continue;
      if (count == top.count) return top.pair;
      queue_.push({count, top.pair});  // merges since then took some of its occurrences
    }
    return std::nullopt;
  }

  /// Replaces the pair by the token `merged` in all words.
  void merge(Pair pair, int merged) {
    const std::vector<int> places = std::exchange(pairs_.at(pair).words, {});
    grown_.clear();
    for (const int w : places) merge_in_word(w, pair, merged);
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const Pair& p : grown_) {
      const int64_t count = pairs_.at(p).count;
      if (count > 0) queue_.push({count, p});
    }
  }

 private:
  void change(Pair pair, int sign, int w) {
    PairInfo& info = pairs_[pair];
    info.count += sign * words_[w].count;
    if (sign > 0 && (info.words.empty() || info.words.back() != w)) info.words.push_back(w);
  }

  void merge_in_word(int w, Pair pair, int merged) {
    std::vector<int>& s = words_[w].symbols;
    size_t out = 0;  // s[0, out) is done; s[in, end) is still to be read
    for (size_t in = 0; in < s.size(); ++out) {
      if (in + 1 == s.size() || s[in] != pair.first || s[in + 1] != pair.second) {
        s[out] = s[in++];
        continue;
      }
      change(pair, -1, w);
      if (out > 0) {
        change({s[out - 1], pair.first}, -1, w);
        grow({s[out - 1], merged}, w);
      }
      in += 2;
      if (in < s.size()) {
        change({pair.second, s[in]}, -1, w);
        grow({merged, s[in]}, w);
      }
      s[out] = merged;
    }
    s.resize(out);
  }

  void grow(Pair pair, int w) {
    change(pair, +1, w);
    grown_.push_back(pair);
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, PairInfo, PairHash> pairs_;
  std::priority_queue<Entry> queue_;
  std::vector<Pair> grown_;  // pairs that the current merge creates
};

}  // namespace

void train_bpe(std::string_view text, size_t vocab_size, TokenizerParts& parts) {
  std::deque<std::string>& tokens = parts.tokens;
  std::array<int, 256> byte_ids;
  for (const unsigned char b : bytes_in_alphabet_order()) {
    byte_ids[b] = static_cast<int>(tokens.size());
    tokens.push_back(std::string(1, static_cast<char>(b)));
  }
  // Two merges can give the same bytes, (a, bc) and (ab, c): the token is made once.
  std::unordered_map<std::string, int> ids;
  for (const int id : byte_ids) ids.emplace(tokens[id], id);

  Trainer trainer(count_words(text, byte_ids));
  while (tokens.size() < vocab_size) {
    const std::optional<Pair> pair = trainer.pop();
    if (!pair) break;
    const std::string joined = tokens[pair->first] + tokens[pair->second];
    const auto [token, is_new] = ids.try_emplace(joined, static_cast<int>(tokens.size()));
    if (is_new) tokens.push_back(joined);
    parts.merges.push_back(*pair);
    trainer.merge(*pair, token->second);
  }
}

}  // namespace needle::text
