// The byte-level alphabet: every byte as one visible character, so that JSON can hold it.  (Lesson
// 06)
#include "needle/text/byte_level.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace needle::text {
namespace {

constexpr int kCodePoints = 256 + 68;

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

struct Alphabet {
  std::array<uint16_t, 256> code_point{};
  std::array<int16_t, kCodePoints> byte{};  // -1: not in the alphabet

  constexpr Alphabet() {
    byte.fill(-1);
    int next = 256;
    for (int b = 0; b < 256; ++b) {
      const int c = stands_for_itself(b) ? b : next++;
      code_point[b] = static_cast<uint16_t>(c);
      byte[c] = static_cast<int16_t>(b);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const unsigned char b : bytes) {
    const int c = kAlphabet.code_point[b];
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {
      out += static_cast<char>(0xc0 | (c >> 6));
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return out;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    int c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {  // the alphabet ends at U+0143, so two bytes are enough
      if (c < 0xc2 || c > 0xdf || i + 1 == text.size()) return std::nullopt;
      const int low = static_cast<unsigned char>(text[++i]);
      if ((low & 0xc0) != 0x80) return std::nullopt;
      c = ((c & 0x1f) << 6) | (low & 0x3f);
    }
    if (c >= kCodePoints || kAlphabet.byte[c] < 0) return std::nullopt;
    out += static_cast<char>(kAlphabet.byte[c]);
  }
  return out;
}

std::array<unsigned char, 256> bytes_in_alphabet_order() {
  std::array<unsigned char, 256> bytes;
  std::iota(bytes.begin(), bytes.end(), 0);
  std::sort(bytes.begin(), bytes.end(), [](unsigned char a, unsigned char b) {
    return kAlphabet.code_point[a] < kAlphabet.code_point[b];
  });
  return bytes;
}

}  // namespace needle::text
