// Characters of UTF-8 text, and the four classes that pre-tokenisation tells apart.  (Lesson 06)
#include "needle/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>

namespace needle::text {
namespace {

constexpr bool is_space(int32_t c) {  // the property White_Space
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

constexpr std::array<CharClass, 128> kAscii = [] {
  std::array<CharClass, 128> table{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    table[c] = letter                 ? CharClass::letter
               : c >= '0' && c <= '9' ? CharClass::number
               : is_space(c)          ? CharClass::space
                                      : CharClass::other;
  }
  return table;
}();

// Debian 12's utf8proc knows Unicode 15.0, the tokenizers library 16.0: what came in between.
struct Range {
  int32_t first, last;
  CharClass kind;
};
constexpr CharClass kL = CharClass::letter, kN = CharClass::number;
constexpr Range kNewer[] = {
    {0x1c89, 0x1c8a, kL},   {0xa7cb, 0xa7cd, kL},   {0xa7da, 0xa7dc, kL},   {0x105c0, 0x105f3, kL},
    {0x10d40, 0x10d49, kN}, {0x10d4a, 0x10d65, kL}, {0x10d6f, 0x10d85, kL}, {0x10ec2, 0x10ec4, kL},
    {0x11380, 0x11389, kL}, {0x1138b, 0x1138b, kL}, {0x1138e, 0x1138e, kL}, {0x11390, 0x113b5, kL},
    {0x113b7, 0x113b7, kL}, {0x113d1, 0x113d1, kL}, {0x113d3, 0x113d3, kL}, {0x116d0, 0x116e3, kN},
    {0x11bc0, 0x11be0, kL}, {0x11bf0, 0x11bf9, kN}, {0x13460, 0x143fa, kL}, {0x16100, 0x1611d, kL},
    {0x16130, 0x16139, kN}, {0x16d40, 0x16d6c, kL}, {0x16d70, 0x16d79, kN}, {0x18cff, 0x18cff, kL},
    {0x1ccf0, 0x1ccf9, kN}, {0x1e5d0, 0x1e5ed, kL}, {0x1e5f0, 0x1e5f0, kL}, {0x1e5f1, 0x1e5fa, kN},
    {0x2ebf0, 0x2ee5d, kL},
};

CharClass class_of(int32_t c) {
  if (is_space(c)) return CharClass::space;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CharClass::number;
    case UTF8PROC_CATEGORY_CN: break;  // not assigned in 15.0
    default: return CharClass::other;
  }
  const Range* range = std::lower_bound(std::begin(kNewer), std::end(kNewer), c,
                                        [](const Range& r, int32_t x) { return r.last < x; });
  return range != std::end(kNewer) && c >= range->first ? range->kind : CharClass::other;
}

std::string nfc_of_well_formed(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  if (size < 0) throw std::bad_alloc();  // its only failure on well-formed text
  return std::string(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
}

}  // namespace

Character character_at(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {kAscii[first], 1, first};
  int32_t code_point = -1;
  const auto available = static_cast<utf8proc_ssize_t>(std::min<size_t>(4, text.size() - at));
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                     available, &code_point);
  if (size <= 0) return {CharClass::other, 1, -1};
  return {class_of(code_point), static_cast<uint8_t>(size), code_point};
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (c.code_point < 0) return false;
    at += c.size;
  }
  return true;
}

std::string to_nfc(std::string_view text) {
  std::string out;
  size_t begin = 0;  // of the well-formed run that is being read
  const auto flush = [&](size_t end) {
    if (end > begin) out += nfc_of_well_formed(text.substr(begin, end - begin));
  };
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (c.code_point < 0) {
      flush(at);
      out += text[at];
      begin = at + 1;
    }
    at += c.size;
  }
  flush(text.size());
  return out;
}

}  // namespace needle::text
