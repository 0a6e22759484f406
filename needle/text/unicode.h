// Characters of UTF-8 text, and the four classes that pre-tokenisation tells apart.  (Lesson 06)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace needle::text {

/// \p{L}, \p{N}, \s and the rest, by Unicode 16.
enum class CharClass : uint8_t { letter, number, space, other };

struct Character {
  CharClass kind;
  uint8_t size;        // bytes
  int32_t code_point;  // -1: an ill-formed byte
};

/// The character at text[at]. A byte that is not part of well-formed UTF-8 is a character of its
/// own, of class `other`, as U+FFFD would be. Precondition: at < text.size().
Character character_at(std::string_view text, size_t at);

/// Whether the whole text is well-formed UTF-8.
bool is_utf8(std::string_view text);

/// The text in Unicode normalisation form C; ill-formed bytes stay as they are.
std::string to_nfc(std::string_view text);

}  // namespace needle::text
