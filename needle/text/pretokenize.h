// Pre-tokenisation: cuts text into words; a token never crosses a word's border.  (Lesson 06)
//
// The published models give a regular expression for it. Three kinds cover nearly all byte-level
// tokenizers; here they are small hand-written scanners that need no regex engine:
//   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//           ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   qwen2   llama3 with \p{N} in place of \p{N}{1,3}
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

namespace needle::text {

enum class Pattern { gpt2, llama3, qwen2 };

/// How a tokenizer cuts text.
struct PreTokenizer {
  Pattern pattern = Pattern::gpt2;
  bool split_digits = false;  // every digit is cut off first, as a word of its own (SmolLM)

  bool operator==(const PreTokenizer&) const = default;
};

/// The regular expression of a pattern, as tokenizer.json files spell it.
std::string_view regex_of(Pattern pattern);
/// The inverse; nullopt for an expression that we have no scanner for.
std::optional<Pattern> pattern_of(std::string_view regex);

/// The end of the word that starts at text[at]. Precondition: at < text.size(). Always > at.
size_t word_end(Pattern pattern, std::string_view text, size_t at);
/// The end of the piece that starts at text[at]: one digit, or everything before the next digit.
size_t digit_piece_end(std::string_view text, size_t at);

/// Calls f(word) for each word of `text` in order; the words joined are the text.
template <class F>
void for_each_word(const PreTokenizer& how, std::string_view text, F&& f) {
  while (!text.empty()) {
    const size_t size = how.split_digits ? digit_piece_end(text, 0) : text.size();
    const std::string_view piece = text.substr(0, size);
    for (size_t at = 0; at < piece.size();) {
      const size_t end = word_end(how.pattern, piece, at);
      f(piece.substr(at, end - at));
      at = end;
    }
    text.remove_prefix(size);
  }
}

}  // namespace needle::text
