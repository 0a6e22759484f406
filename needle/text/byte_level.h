// The byte-level alphabet: every byte as one visible character, so that JSON can hold it.  (Lesson
// 06)
//
// GPT-2's table (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
// encoder.py): printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100,
// U+0101, ... in order. The space becomes U+0120 and the newline U+010A.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace needle::text {

/// Raw bytes -> UTF-8 in the byte-level alphabet.
std::string to_byte_level(std::string_view bytes);
/// The inverse. nullopt if a character is not in the alphabet or the UTF-8 is ill-formed.
std::optional<std::string> from_byte_level(std::string_view text);
/// All 256 bytes, ordered by the code point that stands for them: the order of their token ids.
std::array<unsigned char, 256> bytes_in_alphabet_order();

}  // namespace needle::text
