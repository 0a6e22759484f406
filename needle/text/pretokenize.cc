// Pre-tokenisation: cuts text into words; a token never crosses a word's border.  (Lesson 06)
#include "needle/text/pretokenize.h"

#include "needle/text/unicode.h"

namespace needle::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

bool is_newline(char c) { return c == '\n' || c == '\r'; }

// The end of the run of characters of one class at text[at], at most `limit` characters.
size_t run_end(std::string_view text, size_t at, CharClass kind, size_t limit = SIZE_MAX) {
  for (size_t n = 0; at < text.size() && n < limit; ++n) {
    const Character c = character_at(text, at);
    if (c.kind != kind) break;
    at += c.size;
  }
  return at;
}

// The end of 's, 't, 're, 've, 'm, 'll or 'd at text[at], or `at` if there is none.
size_t contraction_end(std::string_view text, size_t at, bool ignore_case) {
  if (text[at] != '\'') return at;
  const auto letter = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char a = letter(at + 1), b = letter(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
  constexpr std::string_view kLongS = "\xc5\xbf";  // U+017F, an s when case is ignored
  if (ignore_case && text.substr(at + 1, 2) == kLongS) return at + 3;
  return at;
}

// \s+(?!\S)|\s+ : white space up to the end of the text; before a word its last character is left
// over, so that the word can take it.
size_t space_end(std::string_view text, size_t at) {
  size_t end = at, last = at;
  while (end < text.size()) {
    const Character c = character_at(text, end);
    if (c.kind != CharClass::space) break;
    last = end;
    end += c.size;
  }
  return end == text.size() || last == at ? end : last;
}

size_t gpt2_end(std::string_view text, size_t at) {
  if (const size_t end = contraction_end(text, at, false); end > at) return end;
  const size_t start = at + (text[at] == ' ' ? 1 : 0);  // one space belongs to the word after it
  if (start < text.size()) {
    const CharClass kind = character_at(text, start).kind;
    if (kind != CharClass::space) return run_end(text, start, kind);
  }
  return space_end(text, at);
}

size_t llama3_end(std::string_view text, size_t at, size_t digits) {
  if (const size_t end = contraction_end(text, at, true); end > at) return end;

  const Character first = character_at(text, at);
  if (first.kind == CharClass::number) return run_end(text, at, CharClass::number, digits);
  // [^\r\n\p{L}\p{N}]?\p{L}+
  const size_t second = at + first.size;
  const bool takes_first = first.kind == CharClass::letter || !is_newline(text[at]);
  if (takes_first) {
    const size_t end = run_end(text, second, CharClass::letter);
    if (end > second || first.kind == CharClass::letter) return end;
  }
  //  ?[^\s\p{L}\p{N}]+[\r\n]*
  const size_t start = at + (text[at] == ' ' ? 1 : 0);
  if (size_t end = run_end(text, start, CharClass::other); end > start) {
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  // \s*[\r\n]+ : up to the last line break of the white space
  const size_t end = run_end(text, at, CharClass::space);
  for (size_t i = end; i > at; --i) {
    if (is_newline(text[i - 1])) return i;
  }
  return space_end(text, at);
}

}  // namespace

std::string_view regex_of(Pattern pattern) {
  switch (pattern) {
    case Pattern::llama3: return kLlama3;
    case Pattern::qwen2: return kQwen2;
    default: return kGpt2;
  }
}

std::optional<Pattern> pattern_of(std::string_view regex) {
  for (const Pattern pattern : {Pattern::gpt2, Pattern::llama3, Pattern::qwen2}) {
    if (regex == regex_of(pattern)) return pattern;
  }
  return std::nullopt;
}

size_t word_end(Pattern pattern, std::string_view text, size_t at) {
  switch (pattern) {
    case Pattern::llama3: return llama3_end(text, at, 3);
    case Pattern::qwen2: return llama3_end(text, at, 1);
    default: return gpt2_end(text, at);
  }
}

size_t digit_piece_end(std::string_view text, size_t at) {
  for (size_t end = at; end < text.size();) {
    const Character c = character_at(text, end);
    if (c.kind == CharClass::number) return end == at ? end + c.size : end;
    end += c.size;
  }
  return text.size();
}

}  // namespace needle::text
