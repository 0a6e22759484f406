// Tokenizer to and from tokenizer.json, the format of Hugging Face's `tokenizers`.  (Lesson 06)
#include <algorithm>
#include <deque>
#include <map>

#include "needle/text/byte_level.h"
#include "needle/text/json.h"
#include "needle/text/tokenizer.h"

namespace needle::text {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;

// Reads one tokenizer.json. Every message starts with the file's name. The three parts that grow
// with the vocabulary are taken while the file is parsed; what they mean is looked at afterwards,
// for they may come in any order.
class Reader {
 public:
  Reader(std::string_view json, std::string_view name)
      : name_(name),
        root_(parse_json(json, name, JsonLimits::of_file(json.size()), streams())),
        file_(root_, name_),
        model_(file_.required("model"), name_ + ": model") {}

  TokenizerParts read() {
    read_model_options();
    check_containers();
    read_vocabulary();
    read_merges();
    read_normalizer();
    read_pre_tokenizer();
    read_decoder();
    read_post_processor();
    return std::move(parts_);
  }

 private:
  std::vector<JsonStream> streams() {
    using Kind = Json::value_t;
    return {
        {{"added_tokens"}, Kind::array, [this](auto&, const Json& value) { take_added(value); }},
        {{"model", "vocab"},
         Kind::object,
         [this](const std::string& key, const Json& value) { take_token(key, value); }},
        {{"model", "merges"}, Kind::array, [this](auto&, const Json& value) { take_merge(value); }},
    };
  }

  void take_added(const Json& value) {
    const Fields token(value, name_ + ": added_tokens");
    AddedToken added{to_id(token.required("id")), token.string("content", ""),
                     token.boolean("special", false)};
    // How a special token takes in white space around it does not matter, for it is never looked
    // for in text.
    for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
      if (!added.special && token.boolean(flag, false)) {
        token.fail(quote(added.content), " has '", flag, "', which is not supported");
      }
    }
    added_ids_.emplace(added.content, added.id);
    parts_.added.push_back(std::move(added));
  }

  void take_token(const std::string& spelling, const Json& id) {
    if (!vocabulary_.emplace(spelling, to_id(id)).second) {
      fail_model("the token ", quote(spelling), " appears twice");
    }
  }

  void take_merge(const Json& merge) {  // "a b", or since tokenizers 0.20 ["a", "b"]
    if (merge.is_string()) {
      const std::string& both = merge.get_ref<const std::string&>();
      const size_t space = both.find(' ');
      if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos) {
        fail_model("merge ", quote(both), " is not two tokens");
      }
      merges_.emplace_back(both.substr(0, space), both.substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      merges_.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      fail_model("each merge must be two tokens");
    }
  }

  void read_model_options() {
    const std::string type = model_.string("type", "BPE");
    if (type != "BPE") model_.fail("type ", quote(type), "; needle reads byte-level BPE only");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!model_.string(key, "").empty()) model_.fail("'", key, "' is not supported");
    }
    if (model_.boolean("byte_fallback", false)) {
      model_.fail("byte_fallback is SentencePiece's way; needle reads byte-level BPE only");
    }
    model_.number("dropout", 0, 0, 0);
    parts_.ignore_merges = model_.boolean("ignore_merges", false);
  }

  void check_containers() const {
    const Json* added = file_.find("added_tokens");
    if (added && !added->is_array()) file_.fail("'added_tokens' must be a list");
    if (!model_.required("vocab").is_object()) {
      model_.fail("'vocab' must be an object of token: id");
    }
    if (!model_.required("merges").is_array()) model_.fail("'merges' must be a list");
  }

  // A token's bytes: added tokens are spelt as they are, the others in the byte-level alphabet.
  void read_vocabulary() {
    for (const AddedToken& added : parts_.added) place(added.id, added.content, added.content);
    for (const auto& [spelling, id] : vocabulary_) {
      if (const auto added = added_ids_.find(spelling); added != added_ids_.end()) {
        if (added->second == id) continue;
        model_.fail("token ", quote(spelling), " has id ", id, " here and ", added->second,
                    " in added_tokens");
      }
      std::optional<std::string> bytes = from_byte_level(spelling);
      if (!bytes) {
        model_.fail("token ", quote(spelling), " is not spelt in the byte-level alphabet");
      }
      if (bytes->empty()) model_.fail("a token is empty");
      place(id, std::move(*bytes), spelling);
    }
  }

  void place(int id, std::string bytes, const std::string& spelling) {
    // An id far beyond the number of tokens would make us allocate what the file does not hold.
    const size_t limit = vocabulary_.size() + parts_.added.size() + 256;
    if (static_cast<size_t>(id) >= limit) {
      model_.fail("token ", quote(spelling), " has id ", id, " among ", vocabulary_.size(),
                  " tokens");
    }
    auto& tokens = parts_.tokens;
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(id + 1);
    if (!tokens[id].empty()) model_.fail("two tokens have the id ", id);
    tokens[id] = std::move(bytes);
  }

  void read_merges() {
    const auto id_of = [&](const std::string& spelling) {
      const auto found = vocabulary_.find(spelling);
      if (found == vocabulary_.end()) {
        model_.fail("merge of ", quote(spelling), ", which is not in the vocabulary");
      }
      return found->second;
    };
    parts_.merges.reserve(merges_.size());
    for (const auto& [left, right] : merges_) {
      parts_.merges.emplace_back(id_of(left), id_of(right));
    }
  }

  // The steps of a component that may be null, one step, or a Sequence of them under `key`.
  std::vector<Fields> steps(const char* component, const char* key) const {
    std::vector<Fields> steps;
    const Json* value = file_.find(component);
    if (!value) return steps;
    const std::string name = file_.name() + ": " + component;
    const Fields one(*value, name);
    if (one.string("type", "") != "Sequence") return {one};
    const Json& list = one.required(key);
    if (!list.is_array()) one.fail("'", key, "' must be a list");
    for (const Json& step : list) steps.emplace_back(step, name);
    return steps;
  }

  void read_normalizer() {
    for (const Fields& step : steps("normalizer", "normalizers")) {
      const std::string type = step.string("type", "");
      if (type != "NFC") step.fail("type ", quote(type), " is not supported, only NFC is");
      parts_.nfc = true;
    }
  }

  // Known: ByteLevel with GPT-2's regex; Digits, then that; Split by a known regex, then ByteLevel.
  void read_pre_tokenizer() {
    const std::vector<Fields> all = steps("pre_tokenizer", "pretokenizers");
    if (all.empty() || all.back().string("type", "") != "ByteLevel" || all.size() > 2) {
      file_.fail("pre_tokenizer must be ByteLevel, or one step and then ByteLevel");
    }
    const Fields& bytes = all.back();
    if (bytes.boolean("add_prefix_space", true)) {
      bytes.fail("add_prefix_space is not supported");
    }
    const bool use_regex = bytes.boolean("use_regex", true);
    const std::string first = all.size() == 2 ? all[0].string("type", "") : "";
    if (first == "Split" && !use_regex) return read_split(all[0]);
    if (first == "Digits" && use_regex && all[0].boolean("individual_digits", false)) {
      parts_.pre_tokenizer.split_digits = true;
    } else if (!first.empty() || !use_regex) {
      file_.fail("this combination of steps in pre_tokenizer is not supported");
    }
  }

  void read_split(const Fields& split) {
    const Json& pattern = split.required("pattern");
    const std::string regex =
        Fields(pattern, file_.name() + ": pre_tokenizer: pattern").string("Regex", "");
    const std::optional<Pattern> known = pattern_of(regex);
    if (!known) {
      split.fail("no scanner for the pattern ", quote(regex),
                 "; GPT-2's, Llama 3's and Qwen 2's "
                 "are known");
    }
    // As the patterns leave nothing out, removing what does not match keeps the matches.
    const std::string behavior = split.string("behavior", "");
    const bool inverted = split.boolean("invert", false);
    if (!(behavior == "Isolated" && !inverted) && !(behavior == "Removed" && inverted)) {
      split.fail("Split with behavior ", quote(behavior), " is not supported, Isolated is");
    }
    parts_.pre_tokenizer.pattern = *known;
  }

  void read_decoder() const {
    for (const Fields& step : steps("decoder", "decoders")) {
      const std::string type = step.string("type", "");
      if (type != "ByteLevel") step.fail("type ", quote(type), " is not supported, ByteLevel is");
    }
  }

  // Kept for saving; what it puts in front of a text is noted for those who serve the model.
  void read_post_processor() {
    const Json* value = file_.find("post_processor");
    if (!value) return;
    parts_.post_processor = std::make_shared<const Json>(*value);
    for (const Fields& step : steps("post_processor", "processors")) {
      if (step.string("type", "") != "TemplateProcessing") continue;
      const Json& single = step.required("single");
      if (!single.is_array()) step.fail("'single' must be a list");
      for (const Json& piece : single) {
        const Fields fields(piece, step.name() + ": single");
        const Json* special = fields.find("SpecialToken");
        if (!special) break;  // the text itself
        const std::string content = Fields(*special, fields.name()).string("id", "");
        const auto added = added_ids_.find(content);
        if (added == added_ids_.end()) fields.fail("no added token ", quote(content));
        parts_.prefix.push_back(added->second);
      }
    }
  }

  int to_id(const Json& value) const {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= INT32_MAX;
    if (!fits) {
      throw ValueError(str(name_, ": a token id must be a whole number from 0 to ", INT32_MAX));
    }
    return value.get<int>();
  }

  // What model_.fail does, for use while the file is parsed.
  template <class... Parts>
  [[noreturn]] void fail_model(const Parts&... parts) const {
    throw ValueError(str(name_, ": model: ", parts...));
  }

  std::string name_;
  TokenizerParts parts_;
  std::unordered_map<std::string, int> added_ids_;  // by content
  std::map<std::string, int> vocabulary_;           // by spelling
  std::deque<std::pair<std::string, std::string>> merges_;
  Json root_;  // everything but the three parts above, which are filled while it is made
  Fields file_;
  Fields model_;
};

std::string json_string(std::string_view text) { return Json(text).dump(); }

std::string pre_tokenizer_json(const PreTokenizer& how) {
  const auto byte_level = [](bool use_regex) {
    return Json{{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"trim_offsets", true},
                {"use_regex", use_regex}};
  };
  const auto sequence = [](const Json& first, const Json& second) {
    return Json{{"type", "Sequence"}, {"pretokenizers", {first, second}}}.dump();
  };
  if (how.split_digits) {
    return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
  }
  if (how.pattern == Pattern::gpt2) return byte_level(true).dump();
  return sequence({{"type", "Split"},
                   {"pattern", {{"Regex", regex_of(how.pattern)}}},
                   {"behavior", "Isolated"},
                   {"invert", false}},
                  byte_level(false));
}

std::string model_json(const TokenizerParts& parts) {
  std::vector<std::string> spelling;
  for (const std::string& bytes : parts.tokens) spelling.push_back(to_byte_level(bytes));
  for (const AddedToken& added : parts.added) spelling[added.id] = added.content;

  std::string out = R"({
    "type": "BPE", "dropout": null, "unk_token": null,
    "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
    "byte_fallback": false, "ignore_merges": )";
  out += parts.ignore_merges ? "true" : "false";
  out += ",\n    \"vocab\": {";
  const char* separator = "\n";
  for (size_t id = 0; id < spelling.size(); ++id) {
    if (spelling[id].empty()) continue;  // an id that is not used
    out += separator + ("      " + json_string(spelling[id])) + ": " + std::to_string(id);
    separator = ",\n";
  }
  out += "\n    },\n    \"merges\": [";
  separator = "\n";
  for (const auto& [left, right] : parts.merges) {  // as one string: every version reads that
    out += separator + ("      " + json_string(spelling[left] + " " + spelling[right]));
    separator = ",\n";
  }
  return out + "\n    ]\n  }";
}

}  // namespace

Tokenizer Tokenizer::from_json(std::string_view json, std::string_view name) {
  TokenizerParts parts = Reader(json, name).read();
  try {
    return Tokenizer(std::move(parts));
  } catch (const ValueError& error) {
    throw ValueError(str(name, ": ", error.what()));
  }
}

Tokenizer Tokenizer::load(const std::string& path) {
  return from_json(read_file(path, kMaxFileBytes), file_name(path));
}

std::string Tokenizer::to_json() const {
  std::string added;
  for (const AddedToken& token : parts_.added) {
    added += (added.empty() ? "\n    {\"id\": " : ",\n    {\"id\": ") + std::to_string(token.id) +
             ", \"content\": " + json_string(token.content) +
             R"(, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, )" +
             "\"special\": " + (token.special ? "true" : "false") + "}";
  }
  const auto& post = parts_.post_processor;
  return str("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n",
             "  \"added_tokens\": [", added, "\n  ],\n",
             "  \"normalizer\": ", parts_.nfc ? R"({"type": "NFC"})" : "null", ",\n",
             "  \"pre_tokenizer\": ", pre_tokenizer_json(parts_.pre_tokenizer), ",\n",
             "  \"post_processor\": ", post ? post->dump() : "null", ",\n",
             "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, ",
             "\"trim_offsets\": true, \"use_regex\": true},\n", "  \"model\": ", model_json(parts_),
             "\n}\n");
}

void Tokenizer::save(const std::string& path) const { write_file(path, to_json()); }

std::string Tokenizer::config_json(int64_t max_length) const {
  nlohmann::ordered_json config;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["model_max_length"] = max_length;
  config["clean_up_tokenization_spaces"] = false;
  const auto& added = parts_.added;
  const auto end =
      std::find_if(added.begin(), added.end(), [](const auto& t) { return t.special; });
  if (end != added.end()) {
    config["bos_token"] = end->content;
    config["eos_token"] = end->content;
  }
  return config.dump(2) + "\n";
}

}  // namespace needle::text
