// From token bytes to text that can be sent: whole characters, no stop string.  (Lesson 07)
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace needle::serve {

/// Incremental UTF-8 decoder. It holds back an incomplete character and writes U+FFFD only for
/// bytes proven invalid or left over at the end: one per maximal invalid part (Unicode 15, section
/// 3.9, table 3-8), which is what Python's errors="replace" does.
class Utf8Decoder {
 public:
  /// Appends `bytes` and returns every character that is now complete.
  std::string push(std::string_view bytes);
  /// The end: U+FFFD if an incomplete character is left, else nothing.
  std::string flush();
  /// An incomplete character is held, and `bytes` do not continue it: U+FFFD comes before them.
  bool is_broken_by(std::string_view bytes) const;

 private:
  std::string held_;  // a proper prefix of a valid character, at most 3 bytes
};

/// Number of characters in valid UTF-8.
size_t count_characters(std::string_view utf8);

/// Finds stop strings in a text that arrives in pieces. It lets through what can no longer become
/// part of one. The earliest match in the text wins, however the text was cut into pieces.
class StopMatcher {
 public:
  /// Each stop string is non-empty. None at all: everything passes.
  explicit StopMatcher(std::vector<std::string> stops = {}) : stops_(std::move(stops)) {}

  /// Appends `text` and returns the part that is safe to send. After stopped() nothing comes.
  std::string push(std::string_view text);
  /// The end of the text: what was held back, up to a stop string.
  std::string flush();
  bool stopped() const { return stopped_; }

 private:
  std::string release(bool at_end);

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace needle::serve
