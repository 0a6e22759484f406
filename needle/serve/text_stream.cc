// UTF-8 decoder and stop matcher.  (Lesson 07)
#include "needle/serve/text_stream.h"

#include <algorithm>
#include <utility>

namespace needle::serve {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// What the first byte of a character says: its length and the range of its second byte, which
/// excludes overlong forms, surrogates and everything above U+10FFFF. length 0: not a first byte.
struct Lead {
  int length;
  unsigned char low, high;
};

constexpr Lead classify(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// How far the bytes at the front of `text` follow the rules of one character.
struct Prefix {
  size_t length;   // bytes that fit, at least 1
  bool valid;      // they are a whole character
  bool undecided;  // they fit so far and the text ends there
};

Prefix scan(std::string_view text) {
  const Lead lead = classify(static_cast<unsigned char>(text[0]));
  if (lead.length == 0) return {1, false, false};
  for (size_t i = 1; i < static_cast<size_t>(lead.length); ++i) {
    if (i == text.size()) return {i, false, true};
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : byte >> 6 == 2;
    if (!fits) return {i, false, false};
  }
  return {static_cast<size_t>(lead.length), true, false};
}

}  // namespace

std::string Utf8Decoder::push(std::string_view bytes) {
  held_.append(bytes);
  std::string text;
  size_t at = 0;
  while (at < held_.size()) {
    const Prefix prefix = scan(std::string_view(held_).substr(at));
    if (prefix.undecided) break;
    text += prefix.valid ? std::string_view(held_).substr(at, prefix.length) : kReplacement;
    at += prefix.length;
  }
  held_.erase(0, at);
  return text;
}

std::string Utf8Decoder::flush() {
  const bool left = !held_.empty();
  held_.clear();
  return left ? std::string(kReplacement) : std::string();
}

bool Utf8Decoder::is_broken_by(std::string_view bytes) const {
  if (held_.empty() || bytes.empty()) return false;
  const Prefix prefix = scan(held_ + bytes[0]);
  return !prefix.valid && !prefix.undecided;
}

size_t count_characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(),
                       [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; });
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  held_.append(text);
  return release(false);
}

std::string StopMatcher::flush() { return stopped_ ? std::string() : release(true); }

/// Invariant on return: held_ starts with a proper prefix of a stop string, or is empty.
std::string StopMatcher::release(bool at_end) {
  for (size_t at = 0; at < held_.size(); ++at) {
    const std::string_view rest = std::string_view(held_).substr(at);
    for (const std::string& stop : stops_) {
      if (rest.starts_with(stop)) {
        stopped_ = true;
        std::string text = held_.substr(0, at);
        held_.clear();
        return text;
      }
    }
    // A match may still begin here, and would then win over any that begins later.
    const bool open = !at_end && std::any_of(stops_.begin(), stops_.end(), [&](const auto& stop) {
      return stop.starts_with(rest);
    });
    if (open) {
      std::string text = held_.substr(0, at);
      held_.erase(0, at);
      return text;
    }
  }
  return std::exchange(held_, {});
}

}  // namespace needle::serve
