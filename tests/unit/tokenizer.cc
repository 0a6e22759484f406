// Byte-level BPE: pre-tokenisation, training, encoding, tokenizer.json.  (Lesson 06)
#include "needle/text/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "needle/array/error.h"
#include "needle/text/byte_level.h"
#include "needle/text/json.h"
#include "needle/text/unicode.h"

using namespace needle;
using namespace needle::text;
using Words = std::vector<std::string>;

namespace {

Words words_of(std::string_view text, PreTokenizer how = {}) {
  Words words;
  for_each_word(how, text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

// Text with repeated words, punctuation and several scripts; the same for every run.
std::string sample_text(unsigned seed, int words) {
  const char* const pool[] = {
      "the",    " lord",   " said", " unto",  " them", ",",      ".\n",
      "\n\n  ", " 1234",   "'s",    " naïve", " мир",  "日本語", " 😀👩‍🔬",
      "\t",     "e\u0301", " the",  "aaaa",   " aaa",  "\xff",   "\xe2\x82"};
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < words; ++i) text += pool[random() % std::size(pool)];
  return text;
}

// Training straight from the definition: count every pair anew after each merge.
std::vector<std::pair<int, int>> slow_merges(std::string_view text, int vocab_size) {
  std::array<int, 256> ids;
  int next = 0;
  for (const unsigned char b : bytes_in_alphabet_order()) ids[b] = next++;
  std::vector<std::vector<int>> words;
  for (const std::string& w : words_of(text)) {
    words.emplace_back();
    for (const unsigned char b : w) words.back().push_back(ids[b]);
  }
  std::vector<std::pair<int, int>> merges;
  for (; next < vocab_size; ++next) {
    std::map<std::pair<int, int>, int64_t> counts;
    for (const auto& w : words) {
      for (size_t i = 0; i + 1 < w.size(); ++i) ++counts[{w[i], w[i + 1]}];
    }
    if (counts.empty()) break;
    const auto best = std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) {
      return a.second != b.second ? a.second < b.second : a.first > b.first;
    });
    merges.push_back(best->first);
    for (auto& w : words) {
      std::vector<int> merged;
      for (size_t i = 0; i < w.size(); ++i) {
        const bool hit = i + 1 < w.size() && std::pair(w[i], w[i + 1]) == best->first;
        merged.push_back(hit ? next : w[i]);
        i += hit;
      }
      w = merged;
    }
  }
  return merges;
}

// Encoding straight from the definition: apply the merges one after another.
std::vector<int> slow_encode(const Tokenizer& tokenizer, std::string_view text) {
  const int specials = 1;
  std::array<int, 256> ids;
  int next = specials;
  for (const unsigned char b : bytes_in_alphabet_order()) ids[b] = next++;
  std::vector<int> out;
  for (const std::string& word : words_of(text)) {
    std::vector<int> symbols;
    for (const unsigned char b : word) symbols.push_back(ids[b]);
    int id = next;
    for (const auto& [left, right] : tokenizer.merges()) {
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        if (symbols[i] == left && symbols[i + 1] == right) {
          symbols[i] = id;
          symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(i) + 1);
        }
      }
      ++id;
    }
    out.insert(out.end(), symbols.begin(), symbols.end());
  }
  return out;
}

std::string with(std::string json, const std::string& what, const std::string& by) {
  const size_t at = json.find(what);
  REQUIRE(at != std::string::npos);
  return json.replace(at, what.size(), by);
}

}  // namespace

TEST_SUITE_BEGIN("tokenizer");
TEST_CASE("the GPT-2 pattern cuts words as published") {
  CHECK(words_of("Hello world") == Words{"Hello", " world"});
  CHECK(words_of("it's we'll I'M") == Words{"it", "'s", " we", "'ll", " I", "'", "M"});
  CHECK(words_of("a  b\n\n c ") == Words{"a", " ", " b", "\n\n", " c", " "});
  CHECK(words_of("x=12,345!") == Words{"x", "=", "12", ",", "345", "!"});
  CHECK(words_of("\u00a0\u3000x") == Words{"\u00a0", "\u3000", "x"});
  CHECK(words_of("e\u0301t\u00e9") == Words{"e", "\u0301", "t\u00e9"});
  CHECK(words_of("").empty());
}

TEST_CASE("the Llama 3 pattern: three digits, line breaks, any case") {
  const PreTokenizer llama3{Pattern::llama3, false};
  CHECK(words_of("12345", llama3) == Words{"123", "45"});
  CHECK(words_of("IT'S a;\r\n\r\nb", llama3) == Words{"IT", "'S", " a", ";\r\n\r\n", "b"});
  CHECK(words_of("(x)  \n  y", llama3) == Words{"(x", ")", "  \n", " ", " y"});
  CHECK(words_of("12345", {Pattern::qwen2, false}) == Words{"1", "2", "3", "4", "5"});
  CHECK(words_of("a 12 b", {Pattern::gpt2, true}) == Words{"a", " ", "1", "2", " b"});
}

TEST_CASE("words joined give the text, whatever the bytes") {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random() % 3 ? random() : " \n'sa1"[random() % 6]);
    for (const Pattern pattern : {Pattern::gpt2, Pattern::llama3, Pattern::qwen2}) {
      for (const bool digits : {false, true}) {
        std::string joined;
        for (const std::string& word : words_of(text, {pattern, digits})) {
          REQUIRE_FALSE(word.empty());
          joined += word;
        }
        CHECK(joined == text);
      }
    }
  }
}

TEST_CASE("ill-formed bytes are characters of their own") {
  const std::string text = "a\xff\xc3(\xed\xa0\x80\xf4\x90";
  std::vector<int> sizes;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    CHECK((c.code_point >= 0) == (text[at] == 'a' || text[at] == '('));
    sizes.push_back(c.size);
    at += c.size;
  }
  CHECK(sizes == std::vector<int>(text.size(), 1));
  CHECK_FALSE(is_utf8(text));
  CHECK(is_utf8("é😀"));
  CHECK(to_nfc("e\u0301\xff"
               "e\u0301\xc3") == "\u00e9\xff\u00e9\xc3");
}

TEST_CASE("the byte-level alphabet is a bijection") {
  std::string all;
  for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
  CHECK(from_byte_level(to_byte_level(all)) == all);
  CHECK(to_byte_level(" \n") == "ĠĊ");
  CHECK_FALSE(from_byte_level("a b").has_value());  // a space is spelt Ġ
  CHECK_FALSE(from_byte_level("日").has_value());
  CHECK_FALSE(from_byte_level("\xc4").has_value());
}

TEST_CASE("training agrees with counting everything anew") {
  for (unsigned seed = 0; seed < 5; ++seed) {
    const std::string text = sample_text(seed, 400);
    const Tokenizer fast = Tokenizer::train(text, 330, {});
    CHECK(fast.merges() == slow_merges(text, 330));
  }
  const std::string overlaps = "aaaaaaa aaaaa abababa aaa";
  CHECK(Tokenizer::train(overlaps, 270, {}).merges() == slow_merges(overlaps, 270));
}

TEST_CASE("training ends when no pair is left") {
  const Tokenizer tokenizer = Tokenizer::train("ab ab", 1000);
  CHECK(tokenizer.vocab_size() == 257 + 2);  // "ab", " ab"
  CHECK(Tokenizer::train("", 1000).vocab_size() == 257);
}

TEST_CASE("encoding agrees with applying the merges in order") {
  const Tokenizer tokenizer = Tokenizer::train(sample_text(1, 3000), 500);
  for (unsigned seed = 10; seed < 40; ++seed) {
    const std::string text = sample_text(seed, 60);
    const std::vector<int> ids = tokenizer.encode(text);
    CHECK(ids == slow_encode(tokenizer, text));
    CHECK(tokenizer.decode(ids) == text);
  }
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("any bytes come back") {
  const Tokenizer tokenizer = Tokenizer::train(sample_text(1, 3000), 500);
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    std::string text(random() % 2000, '\0');
    for (char& c : text) c = static_cast<char>(random());
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

TEST_CASE("a word of a million bytes is encoded in time") {
  const Tokenizer tokenizer = Tokenizer::train("aaaaaaaa aaaaaaaaaaaaaaaa ababab", 280);
  const std::string text(1 << 20, 'a');
  const std::vector<int> ids = tokenizer.encode(text);
  CHECK(tokenizer.decode(ids) == text);
  CHECK(ids.size() == text.size() / 8);
}

TEST_CASE("special tokens are not recognised in text") {
  const std::string special = "<|endoftext|>";
  const Tokenizer tokenizer = Tokenizer::train("the end of the text", 270);
  const int id = tokenizer.special_id(special).value();
  CHECK(tokenizer.is_special(id));
  CHECK_FALSE(tokenizer.is_special(id + 1));
  CHECK_FALSE(tokenizer.special_id("<|other|>").has_value());
  CHECK(tokenizer.token_bytes(id) == special);
  const std::vector<int> ids = tokenizer.encode("a" + special);
  CHECK(std::count(ids.begin(), ids.end(), id) == 0);
  CHECK(tokenizer.decode(ids) == "a" + special);
  CHECK(tokenizer.decode(std::vector{id}) == special);
  CHECK(tokenizer.decode(std::vector{id}, true).empty());
}

TEST_CASE("added tokens that are not special are found in text, the longest first") {
  const Tokenizer base = Tokenizer::train("think thinking", 270);
  const std::string json = with(base.to_json(), "\"added_tokens\": [",
                                R"("added_tokens": [{"id": 270, "content": "<t>", "special": false},
                {"id": 271, "content": "<t>>", "special": false},)");
  const Tokenizer tokenizer = Tokenizer::from_json(json);
  std::vector<int> expected = base.encode("think");
  expected.insert(expected.end(), {271, 270});
  for (const int id : base.encode(" think")) expected.push_back(id);
  CHECK(tokenizer.encode("think<t>><t> think") == expected);
}

TEST_CASE("tokenizer.json comes back the same, and gives the same ids") {
  const Tokenizer tokenizer = Tokenizer::train(sample_text(3, 2000), 400, {"<|a|>", "<|b|>"});
  const Tokenizer again = Tokenizer::from_json(tokenizer.to_json());
  CHECK(again.to_json() == tokenizer.to_json());
  CHECK(again.vocab_size() == 400);
  const std::string text = sample_text(4, 500);
  CHECK(again.encode(text) == tokenizer.encode(text));
  const Json config = parse_json(tokenizer.config_json(256), "config");
  CHECK(config["eos_token"] == "<|a|>");
  CHECK(config["model_max_length"] == 256);
}

TEST_CASE("one tokenizer encodes in several threads") {
  const Tokenizer tokenizer = Tokenizer::train(sample_text(3, 2000), 400);
  const std::string text = sample_text(5, 3000);
  const std::vector<int> expected = tokenizer.encode(text);
  std::vector<std::vector<int>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] { result = tokenizer.encode(text); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("wrong arguments are refused") {
  using doctest::Contains;
  CHECK_THROWS_WITH_AS(Tokenizer::train("a", 256), Contains("vocab_size 256, expected 257"),
                       ValueError);
  CHECK_THROWS_WITH_AS(Tokenizer::train("a", 300, {"<x>", "<x>"}), Contains("given twice"),
                       ValueError);
  CHECK_THROWS_WITH_AS(Tokenizer::train("a", 300, {""}), Contains("empty"), ValueError);
  CHECK_THROWS_WITH_AS(Tokenizer::train("a", 300, {"\xff\xff"}), Contains("not UTF-8"), ValueError);
  CHECK_THROWS_WITH_AS(Tokenizer::train("the the", 300, {"the"}), Contains("piece of the text"),
                       ValueError);
  const Tokenizer tokenizer = Tokenizer::train("a", 257);
  CHECK_THROWS_WITH_AS(tokenizer.decode(std::vector{257}), Contains("0 to 256"), IndexError);
  CHECK_THROWS_AS(tokenizer.token_bytes(-1), IndexError);
  CHECK_THROWS_AS(Tokenizer::load("/nonexistent/tokenizer.json"), RuntimeError);
}

TEST_CASE("files that ask for something else are refused with one sentence") {
  const std::string json = Tokenizer::train("ab abc", 260).to_json();
  const auto refuses = [](const std::string& text, const char* why) {
    CHECK_THROWS_WITH_AS(Tokenizer::from_json(text), doctest::Contains(why), ValueError);
  };
  refuses("[1, 2", "not valid JSON");
  refuses("[]", "expected an object");
  refuses(with(json, "\"BPE\"", "\"Unigram\""), "needle reads byte-level BPE only");
  refuses(with(json, "\"byte_fallback\": false", "\"byte_fallback\": true"), "byte_fallback");
  refuses(with(json, "\"dropout\": null", "\"dropout\": 0.1"), "'dropout'");
  refuses(with(json, "\"normalizer\": null", R"("normalizer": {"type": "NFKC"})"), "only NFC");
  refuses(with(json, "\"add_prefix_space\":false", "\"add_prefix_space\":true"), "add_prefix");
  refuses(with(json, "\"use_regex\":true", "\"use_regex\":false"), "combination");
  refuses(
      with(json, "\"decoder\": {\"type\": \"ByteLevel\"", "\"decoder\": {\"type\": \"WordPiece\""),
      "ByteLevel is");
  refuses(with(json, "\"!\": 1", "\"!\": 70000"), "has id 70000");
  refuses(with(json, "\"!\": 1", "\"!\": 2"), "two tokens have the id 2");
  refuses(with(json, "\"!\": 1", "\"!\": -1"), "whole number");
  refuses(with(json, "\"!\": 1,", ""), "the byte 33");
  refuses(with(json, "\"!\": 1,", "\"! \": 1,"), "byte-level alphabet");
  refuses(with(json, "\"!\": 1,", "\"!\": 1, \"!\": 1,"), "appears twice");
  refuses(with(json, "\"a b\"", "\"a b c\""), "not two tokens");
  refuses(with(json, "\"a b\"", "\"b a\""), "not in the vocabulary");
  refuses(with(json, "\"a b\"", "\"a bb\""), "not in the vocabulary");
  refuses(with(json, "\"a b\"", "17"), "two tokens");
}

TEST_CASE("JSON: depth, length and numbers are bounded, messages are short") {
  CHECK_THROWS_WITH_AS(parse_json(std::string(1 << 20, '['), "x.json"),
                       "x.json: JSON nested deeper than 64 levels", ValueError);
  CHECK_THROWS_WITH_AS(parse_json("[1,2,3]", "x", {.values = 3}),
                       "x: more than 3 values where few are expected", ValueError);
  for (const char* text : {R"(["abcde", "\"d\"ef"])", "{\"a\": 12345678}", "\"abcdefg"}) {
    CHECK_THROWS_WITH_AS(parse_json(text, "x", {.string = 7}),
                         "x: a string or number of more than 7 bytes", ValueError);
  }
  CHECK(parse_json(R"(["abcde", "\\\\d", 1234567])", "x", {.string = 7}).size() == 3);
  CHECK_THROWS_WITH_AS(parse_json("1e999", "x"), "x: number out of range at byte 5", ValueError);
  CHECK_THROWS_WITH_AS(parse_json("{\"a\": 1, \"a\": 2}", "x"), "x: the key 'a' appears twice",
                       ValueError);
  CHECK(parse_json(" {\"a\": [1, {\"b\": null}], \"c\": \"\\u00e9\"} ", "x")["c"] == "é");
}

TEST_CASE("JSON: what is streamed is handed over in order and not kept") {
  std::vector<std::string> seen;
  const auto take = [&](const std::string& key, const Json& value) {
    seen.push_back(key + "=" + value.dump());
  };
  const std::vector<JsonStream> streams = {{{"a", "b"}, Json::value_t::object, take},
                                           {{"list"}, Json::value_t::array, take}};
  const char* text = R"({"b": {"b": {"no": 1}}, "list": [1, [2, {"b": 3}], {"a": {"b": 4}}],
                         "a": {"b": {"x": {"y": [5]}, "z": null}, "c": 6}})";
  const Json rest = parse_json(text, "t", {.values = 13}, streams);
  CHECK(seen == std::vector<std::string>{"=1", "=[2,{\"b\":3}]", "={\"a\":{\"b\":4}}",
                                         "x={\"y\":[5]}", "z=null"});
  CHECK(rest.dump() == R"({"a":{"b":{},"c":6},"b":{"b":{"no":1}},"list":[]})");
  // A container of the other kind is kept, for the reader to complain about.
  CHECK(parse_json(R"({"list": {"x": 1}})", "t", {}, streams).dump() == R"({"list":{"x":1}})");
  seen.clear();
  CHECK(parse_json("[[1], 2]", "t", {}, {{{}, Json::value_t::array, take}}).empty());
  CHECK(seen == std::vector<std::string>{"=[1]", "=2"});
}

TEST_CASE("text from a file is quoted on one short line") {
  CHECK(quote("a\nb") == "'a\\x0ab'");
  CHECK(quote(std::string(100, 'x')).size() == 45);
}
TEST_SUITE_END();
