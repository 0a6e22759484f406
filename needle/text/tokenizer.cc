// Tokenizer: its tables, and ids back to bytes. Encoding is in encode.cc.  (Lesson 06)
#include "needle/text/tokenizer.h"

#include <algorithm>

#include "needle/array/error.h"
#include "needle/text/bpe_train.h"
#include "needle/text/file.h"
#include "needle/text/unicode.h"

namespace needle::text {
namespace {

constexpr int kMaxVocabulary = 1 << 24;

void check_added(const TokenizerParts& parts) {
  std::vector<std::string_view> seen;
  seen.reserve(parts.added.size());
  for (const AddedToken& token : parts.added) {
    if (token.content.empty()) throw ValueError("Tokenizer: an added token is empty");
    if (token.id < 0 || token.id >= static_cast<int>(parts.tokens.size())) {
      throw ValueError(str("Tokenizer: added token ", quote(token.content), " has id ", token.id,
                           ", the vocabulary has ", parts.tokens.size(), " tokens"));
    }
    if (!is_utf8(token.content)) {
      throw ValueError(str("Tokenizer: added token ", quote(token.content), " is not UTF-8"));
    }
    seen.push_back(token.content);
  }
  std::sort(seen.begin(), seen.end());
  const auto twice = std::adjacent_find(seen.begin(), seen.end());
  if (twice != seen.end()) {
    throw ValueError(str("Tokenizer: added token ", quote(*twice), " is given twice"));
  }
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  check_added(parts_);
  special_.resize(parts_.tokens.size());
  for (const AddedToken& token : parts_.added) special_[token.id] = token.special;

  // A merge gives the token whose bytes are those of the pair, so ordinary tokens must be known by
  // their bytes here; afterwards only ignore_merges needs that. Where an added token has the bytes
  // of an ordinary one, the ordinary one is meant.
  words_.reserve(std::count_if(parts_.tokens.begin(), parts_.tokens.end(),
                               [](const std::string& bytes) { return !bytes.empty(); }));
  std::vector<bool> is_added(parts_.tokens.size());
  for (const AddedToken& token : parts_.added) is_added[token.id] = true;
  for (const bool added : {false, true}) {
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      if (is_added[id] != added || special_[id] || parts_.tokens[id].empty()) continue;
      words_.emplace(parts_.tokens[id], static_cast<int>(id));
    }
  }
  find_bytes();
  std::vector<int> merged(parts_.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merged.size(); ++rank) {
    const auto [left, right] = parts_.merges[rank];
    joined.assign(token_bytes(left)).append(token_bytes(right));
    const auto word = words_.find(joined);
    if (word == words_.end()) {
      throw ValueError(str("Tokenizer: merge ", rank, " gives ", quote(joined),
                           ", which is not in the vocabulary"));
    }
    merged[rank] = word->second;
  }
  merge_table_ = MergeTable(parts_.tokens.size(), parts_.merges, merged);
  if (!parts_.ignore_merges) words_.clear();

  for (size_t i = 0; i < parts_.added.size(); ++i) {
    if (!parts_.added[i].special) literal_.push_back(i);
  }
  std::stable_sort(literal_.begin(), literal_.end(), [&](size_t a, size_t b) {
    return parts_.added[a].content.size() > parts_.added[b].content.size();
  });
}

void Tokenizer::find_bytes() {
  for (int b = 0; b < 256; ++b) {
    const auto found = words_.find(std::string(1, static_cast<char>(b)));
    if (found == words_.end()) {
      throw ValueError(str("Tokenizer: the vocabulary has no token for the byte ", b,
                           "; byte-level BPE needs all 256"));
    }
    byte_ids_[b] = found->second;
  }
}

Tokenizer Tokenizer::train(std::string_view text, int vocab_size,
                           std::vector<std::string> specials) {
  const int least = 256 + static_cast<int>(specials.size());
  if (vocab_size < least || vocab_size > kMaxVocabulary) {
    throw ValueError(str("Tokenizer.train: vocab_size ", vocab_size, ", expected ", least,
                         " (the 256 bytes and the special tokens) to ", kMaxVocabulary));
  }
  TokenizerParts parts;
  for (std::string& special : specials) {
    parts.added.push_back({static_cast<int>(parts.tokens.size()), special, true});
    parts.tokens.push_back(std::move(special));
  }
  check_added(parts);
  train_bpe(text, static_cast<size_t>(vocab_size), parts);
  for (const AddedToken& special : parts.added) {
    // In the file both would have the same name.
    if (std::count(parts.tokens.begin(), parts.tokens.end(), special.content) > 1) {
      throw ValueError(str("Tokenizer.train: the special token ", quote(special.content),
                           " is also a piece of the text; choose one that no word contains"));
    }
  }
  return Tokenizer(std::move(parts));
}

void Tokenizer::check_id(const char* function, int id) const {
  if (id < 0 || id >= vocab_size()) {
    throw IndexError(
        str(function, ": token id ", id, " is outside the vocabulary, 0 to ", vocab_size() - 1));
  }
}

std::string_view Tokenizer::token_bytes(int id) const {
  check_id("token_bytes", id);
  return parts_.tokens[id];
}

std::string Tokenizer::decode(std::span<const int> ids, bool skip_special) const {
  std::string out;
  for (const int id : ids) {
    check_id("decode", id);
    if (!(skip_special && is_special(id))) out += parts_.tokens[id];
  }
  return out;
}

std::optional<int> Tokenizer::special_id(std::string_view content) const {
  for (const AddedToken& token : parts_.added) {
    if (token.special && token.content == content) return token.id;
  }
  return std::nullopt;
}

bool Tokenizer::is_special(int id) const { return id >= 0 && id < vocab_size() && special_[id]; }

}  // namespace needle::text
