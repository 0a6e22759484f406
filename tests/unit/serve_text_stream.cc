// UTF-8 decoder and stop matcher: every way to cut a text gives the same result. (Lesson 07)
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "needle/serve/text_stream.h"

namespace needle::serve {
namespace {

/// Calls visit(pieces) for every way to cut `text` into non-empty pieces; at most 12 bytes.
template <class Visit>
void for_all_splits(const std::string& text, Visit visit) {
  const unsigned cuts = text.empty() ? 1 : 1u << (text.size() - 1);
  for (unsigned mask = 0; mask < cuts; ++mask) {
    std::vector<std::string> pieces(1);
    for (size_t i = 0; i < text.size(); ++i) {
      pieces.back() += text[i];
      if (mask >> i & 1) pieces.emplace_back();
    }
    visit(pieces);
  }
}

std::string decode(const std::vector<std::string>& pieces) {
  Utf8Decoder decoder;
  std::string text;
  for (const std::string& piece : pieces) text += decoder.push(piece);
  return text + decoder.flush();
}

struct Matched {
  std::string text;
  bool stopped;
  bool operator==(const Matched&) const = default;
};

Matched match(const std::vector<std::string>& pieces, const std::vector<std::string>& stops) {
  StopMatcher matcher(stops);
  std::string text;
  for (const std::string& piece : pieces) text += matcher.push(piece);
  text += matcher.flush();
  return {text, matcher.stopped()};
}

/// Oracle: the whole text at once.
Matched cut_at_first_stop(const std::string& text, const std::vector<std::string>& stops) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return {text.substr(0, first), first != std::string::npos};
}

const std::string kBad = "\xEF\xBF\xBD";

}  // namespace

TEST_SUITE_BEGIN("serve_text_stream");

TEST_CASE("ill-formed UTF-8 becomes what Python's errors='replace' makes of it, however cut") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"plain", "plain"},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
      {"\x80", kBad},
      {"\xFF", kBad},
      {"a\xC3", "a" + kBad},
      {"\xC3"
       "a",
       kBad + "a"},
      {"\xE2\x82", kBad},
      {"\xE2\x82"
       "a",
       kBad + "a"},
      {"\xF0\x9F\x98", kBad},
      {"\xED\xA0\x80", kBad + kBad + kBad},  // a surrogate
      {"\xC0\xAF", kBad + kBad},             // overlong
      {"\xE0\x80\x80", kBad + kBad + kBad},
      {"\xF4\x90\x80\x80", kBad + kBad + kBad + kBad},  // above U+10FFFF
      {"\xF5\x80", kBad + kBad},
      {"\xE2\xE2\x82\xAC", kBad + "\xE2\x82\xAC"},
      // Unicode 15, table 3-8.
      {"\xF1\x80\x80\xE1\x80\xC2"
       "b\x80"
       "c\x80\xBF"
       "d",
       kBad + kBad + kBad + "b" + kBad + "c" + kBad + kBad + "d"},
  };
  for (const auto& [bytes, text] : cases) {
    CAPTURE(text);
    for_all_splits(bytes, [&](const auto& pieces) { REQUIRE(decode(pieces) == text); });
  }
}

TEST_CASE("random bytes: every split gives the whole decoding, and nothing comes late") {
  std::mt19937 random(3);
  const std::string alphabet = "a\x80\xBF\xC3\xE0\xED\xE2\x82\xAC\xF0\x9F\xF4\xFF";
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (int i = 0; i < 9; ++i) bytes += alphabet[random() % alphabet.size()];
    const std::string whole = decode({bytes});
    for_all_splits(bytes, [&](const auto& pieces) { REQUIRE(decode(pieces) == whole); });
  }
  Utf8Decoder decoder;
  CHECK(decoder.push("\xC3").empty());
  CHECK(decoder.push("\xA9x") == "\xC3\xA9x");  // not held until flush
  CHECK(decoder.push("\xF0\x9F").empty());
  CHECK(decoder.push("y") == kBad + "y");  // proven invalid: not held either
}

TEST_CASE("a held character knows what continues it") {
  Utf8Decoder decoder;
  CHECK_FALSE(decoder.is_broken_by("a"));
  decoder.push("\xE2\x82");
  CHECK(decoder.is_broken_by("a"));
  CHECK(decoder.is_broken_by("\xE2"));
  CHECK_FALSE(
      decoder.is_broken_by("\xAC"
                           "a"));
  CHECK_FALSE(decoder.is_broken_by(""));
}

TEST_CASE("characters are counted, not bytes") {
  CHECK(count_characters("") == 0);
  CHECK(count_characters("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == 4);
}

TEST_CASE("stop strings: every split agrees with a search in the whole text") {
  std::mt19937 random(5);
  auto word = [&](int length) {
    std::string text;
    for (int i = 0; i < length; ++i) text += static_cast<char>('a' + random() % 3);
    return text;
  };
  int stopped = 0;
  constexpr int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::string> stops;
    for (unsigned i = 0; i < random() % 4; ++i) stops.push_back(word(1 + random() % 4));
    const std::string text = word(static_cast<int>(random() % 10));
    CAPTURE(text);
    const Matched whole = cut_at_first_stop(text, stops);
    stopped += whole.stopped;
    for_all_splits(text, [&](const auto& pieces) { REQUIRE(match(pieces, stops) == whole); });
  }
  CHECK(stopped > kRounds / 4);
  CHECK(stopped < kRounds * 3 / 4);
}

TEST_CASE("an earlier match that is still open wins over a later complete one") {
  CHECK(match({"xabc", "d"}, {"bc", "abcd"}) == Matched{"x", true});
  CHECK(match({"xabc", "e"}, {"bc", "abcd"}) == Matched{"xa", true});
  CHECK(match({"xabc"}, {"bc", "abcd"}) == Matched{"xa", true});
}

TEST_CASE("only what may become a stop string is held back") {
  StopMatcher matcher({"\n\n", "END"});
  CHECK(matcher.push("hello") == "hello");
  CHECK(matcher.push(" E") == " ");
  CHECK(matcher.push("N") == "");
  CHECK(matcher.push("d") == "ENd");
  CHECK(matcher.push("\n") == "");
  CHECK(matcher.push("\nrest") == "");
  CHECK(matcher.stopped());
  CHECK(matcher.push("more") == "");
  CHECK(matcher.flush() == "");
}

TEST_SUITE_END();

}  // namespace needle::serve
