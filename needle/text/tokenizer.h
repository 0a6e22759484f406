// Tokenizer: byte-level byte-pair encoding, text <-> token ids.  (Lesson 06)
//
// A token is a string of bytes. Text is cut into words (pretokenize.h); each word starts as single
// bytes, and the pair of neighbours that was merged first in training is merged first here, until
// no pair of neighbours is known (Sennrich et al. 2016, "Neural Machine Translation of Rare Words
// with Subword Units"; on bytes: Radford et al. 2019, "Language Models are Unsupervised Multitask
// Learners"). The 256 bytes are tokens, so any input can be encoded, ill-formed UTF-8 too.
//
// Files are Hugging Face's tokenizer.json; ids agree with the `tokenizers` library.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "needle/text/merge_table.h"
#include "needle/text/pretokenize.h"

namespace needle::text {

/// A token outside the merges. A special one has a meaning (end of text, start of a turn) and never
/// comes out of encode(), whatever the text says; another is found in the text as a whole.
struct AddedToken {
  int id = 0;
  std::string content;
  bool special = true;
};

/// What a tokenizer is made of: the vocabulary, the merges and the rules around them.
struct TokenizerParts {
  std::deque<std::string> tokens;           // bytes by id; empty for an id that is not used
  std::vector<std::pair<int, int>> merges;  // by rank: (left id, right id)
  std::deque<AddedToken> added;
  PreTokenizer pre_tokenizer;
  bool nfc = false;            // normalise to Unicode form C first
  bool ignore_merges = false;  // a word that is a token is not taken apart
  // The part that adds tokens around a text, kept as it was; null if there is none.
  std::shared_ptr<const nlohmann::json> post_processor;
  std::vector<int> prefix;  // ids which that part puts in front of a text (Llama 3: 128000)
};

class Tokenizer {
 public:
  /// Learns a vocabulary of `vocab_size` tokens: `specials`, the 256 bytes, then merges, most
  /// frequent pair first, as the `tokenizers` library's BpeTrainer does; fewer if the text has no
  /// pair left. ValueError if vocab_size < 256 + specials, or a special is empty, given twice, or a
  /// piece of the text.
  static Tokenizer train(std::string_view text, int vocab_size,
                         std::vector<std::string> specials = {"<|endoftext|>"});
  /// Reads tokenizer.json. RuntimeError if the file cannot be read, ValueError if it is no
  /// byte-level BPE tokenizer or asks for something that we do not implement.
  static Tokenizer load(const std::string& path);
  /// The same from its text; `name` starts the messages.
  static Tokenizer from_json(std::string_view json, std::string_view name = "tokenizer.json");
  /// ValueError if the parts contradict each other.
  explicit Tokenizer(TokenizerParts parts);

  std::string to_json() const;
  void save(const std::string& path) const;
  /// The text of the tokenizer_config.json that lets transformers.AutoTokenizer load the folder.
  /// `max_length` is the model's context in tokens.
  std::string config_json(int64_t max_length) const;

  /// Token ids of `text`, at most 2^31 - 1 bytes. Special tokens are not recognised in it.
  /// Thread-safe; takes time linear in the text up to the logarithm of the longest word.
  std::vector<int> encode(std::string_view text) const;
  /// The bytes of the tokens, joined; special tokens give their text, or nothing if `skip_special`.
  /// IndexError for an id outside the vocabulary.
  std::string decode(std::span<const int> ids, bool skip_special = false) const;
  /// The bytes of one token. IndexError for an id outside the vocabulary.
  std::string_view token_bytes(int id) const;

  /// The largest id plus one.
  int vocab_size() const { return static_cast<int>(parts_.tokens.size()); }
  std::optional<int> special_id(std::string_view content) const;
  bool is_special(int id) const;
  const std::deque<AddedToken>& added_tokens() const { return parts_.added; }
  const std::vector<std::pair<int, int>>& merges() const { return parts_.merges; }
  /// Ids that belong in front of a text of its own, such as Llama 3's <|begin_of_text|>.
  /// encode() leaves them out.
  const std::vector<int>& prefix() const { return parts_.prefix; }

 private:
  friend class Encoder;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };

  void find_bytes();
  void check_id(const char* function, int id) const;

  TokenizerParts parts_;
  MergeTable merge_table_;
  std::array<int, 256> byte_ids_;
  std::vector<bool> special_;  // by id
  // Which of parts_.added are found in text, longest first.
  std::vector<size_t> literal_;
  // Tokens by their bytes; only if ignore_merges.
  std::unordered_map<std::string, int, Hash, std::equal_to<>> words_;
};

}  // namespace needle::text
