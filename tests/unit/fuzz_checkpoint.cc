// fuzz_checkpoint N [seed]: damaged checkpoint files must end in one clear sentence.  (Lesson 06)
//
// Makes a valid config.json, tokenizer.json and model.safetensors, damages them in N ways that
// depend on the seed only, and loads each. A loader may accept the input or throw an exception with
// a message of one short line; it must not crash (build with sanitizers), nor ask for a block of
// memory larger than the file.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "needle/text/json.h"
#include "needle/text/tokenizer.h"
#include "needle/transformer/config.h"
#include "needle/transformer/safetensors.h"

namespace {

size_t largest_allocation = 0;

void* allocate(size_t bytes) {
  largest_allocation = std::max(largest_allocation, bytes);
  void* memory = std::malloc(std::max<size_t>(bytes, 1));
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Every allocation of the program passes here, those of arrays excepted (load() counts them). Not
// inlined, or the compiler sees free() end what operator new began, and warns.
[[gnu::noinline]] void* operator new(size_t bytes) { return allocate(bytes); }
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
[[gnu::noinline]] void* operator new[](size_t bytes) { return operator new(bytes); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace needle;
using text::Json;
using text::Tokenizer;
using transformer::Config;

enum class Kind { config, tokenizer, safetensors };
constexpr const char* kNames[] = {"config.json", "tokenizer.json", "model.safetensors"};

struct Seed {
  Kind kind;
  std::string bytes;
};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }

  std::string mutate(const Seed& seed) {
    if (seed.kind == Kind::safetensors) return mutate_safetensors(seed.bytes);
    return below(2) ? mutate_json(seed.bytes) : mutate_bytes(seed.bytes);
  }

 private:
  // Damage that knows nothing of the format.
  std::string mutate_bytes(std::string s) {
    for (size_t n = 1 + below(3); n > 0; --n) {
      const size_t at = below(s.size()), length = std::min(s.size() - at, 1 + below(64));
      switch (below(8)) {
        case 0: s.resize(at); break;
        case 1: s.insert(at, s.substr(below(s.size()), 1 + below(200))); break;
        case 2: s.erase(at, length); break;
        case 3: s.insert(at, std::string(1 + below(1 << 15), "[{\"0,"[below(5)])); break;
        case 4: s.append(below(64), static_cast<char>(random_())); break;
        case 5: s = swap_number(std::move(s), at); break;
        default:
          if (!s.empty()) s[at] = static_cast<char>(s[at] ^ (1 << below(8)));
      }
    }
    return s;
  }

  std::string swap_number(std::string s, size_t from) {
    const size_t begin = s.find_first_of("0123456789", from);
    if (begin == std::string::npos) return s;
    const size_t end = std::min(s.find_first_not_of("0123456789.e-", begin), s.size());
    return s.replace(begin, end - begin, number());
  }

  std::string number() {
    static const char* const kNumbers[] = {"0",
                                           "-1",
                                           "1",
                                           "2",
                                           "255",
                                           "256",
                                           "65536",
                                           "2147483647",
                                           "2147483648",
                                           "4294967296",
                                           "4611686018427387904",
                                           "9223372036854775807",
                                           "9223372036854775808",
                                           "18446744073709551615",
                                           "18446744073709551616",
                                           "-9223372036854775808",
                                           "1e308",
                                           "1e999",
                                           "-0.0",
                                           "1.5",
                                           "1e-320"};
    return kNumbers[below(std::size(kNumbers))];
  }

  // Damage that leaves well-formed JSON: values replaced, removed, swapped, renamed or repeated.
  std::string mutate_json(const std::string& text) {
    Json root = Json::parse(text, nullptr, false);
    if (root.is_discarded()) return mutate_bytes(text);
    for (size_t n = 1 + below(3); n > 0; --n) {
      Json& node = pick(root);
      switch (below(7)) {
        case 0: node = Json::parse(number(), nullptr, false); break;
        case 1: node = pick(root); break;
        case 2: node = nullptr; break;
        case 3: node = std::string(below(300), "a\n\\ 0"[below(5)]); break;
        case 4:
          if (node.is_structured() && !node.empty())
            node.erase(std::next(node.begin(), below(node.size())));
          break;
        case 5:
          if (node.is_array()) node.insert(node.end(), 1 + below(2000), pick(root));
          break;
        default:
          if (node.is_object() && !node.empty()) {
            const auto old = std::next(node.begin(), static_cast<ptrdiff_t>(below(node.size())));
            const Json value = *old;
            node[below(2) ? std::string(old.key() + "x") : number()] = value;
          }
      }
      if (root.dump(-1, ' ', false, Json::error_handler_t::replace).size() > (1u << 18)) break;
    }
    return root.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  // A random value of the document; each step goes one level down.
  Json& pick(Json& root) {
    Json* node = &root;
    while (node->is_structured() && !node->empty() && below(5) != 0) {
      node = &*std::next(node->begin(), static_cast<ptrdiff_t>(below(node->size())));
    }
    return *node;
  }

  std::string mutate_safetensors(const std::string& file) {
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    std::string header = file.substr(8, length);
    std::string data = file.substr(8 + length);
    switch (below(4)) {
      case 0: return mutate_bytes(file);
      case 1: header = mutate_json(header); break;
      case 2: header = mutate_bytes(header); break;
      default: data = below(2) ? data.substr(0, below(data.size())) : data + data;
    }
    length = below(8) ? header.size() : std::strtoull(number().c_str(), nullptr, 10);
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
  }

  std::mt19937_64 random_;
};

// The undamaged files. `directory` is for scratch.
std::vector<Seed> make_seeds(const std::string& directory) {
  std::vector<Seed> seeds;
  Config config;
  config.vocab_size = 300;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.eos_token_ids = {0};
  config.validate();
  seeds.push_back({Kind::config, config.to_json()});

  const std::string corpus = "It was the best of times, it was the worst of times, it was the age.";
  Json json = Json::parse(Tokenizer::train(corpus, 290).to_json());
  seeds.push_back({Kind::tokenizer, json.dump()});
  json["added_tokens"].push_back({{"id", 290}, {"content", "<think>"}, {"special", false}});
  json["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": false}]})");
  json["normalizer"] = {{"type", "NFC"}};
  json["post_processor"] = Json::parse(R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A"}}]})");
  json["model"]["ignore_merges"] = true;
  for (Json& merge : json["model"]["merges"]) {
    const std::string both = merge;
    merge = {both.substr(0, both.find(' ')), both.substr(both.find(' ') + 1)};
  }
  seeds.push_back({Kind::tokenizer, json.dump()});

  const std::string path = directory + "/seed.safetensors";
  const std::vector<float> values(24, 0.5f);
  transformer::save_safetensors(path,
                                {{"a", NDArray::of<float>(values, {2, 3, 4})},
                                 {"b", NDArray::of<float>(values, {24})},
                                 {"c", NDArray::empty({0, 5}, DType::int64)},
                                 {"d", NDArray::of<double>(std::vector{1.0}, {})}},
                                {{"format", "pt"}});
  seeds.push_back({Kind::safetensors, text::read_file(path, 1 << 20)});
  std::string half = seeds.back().bytes;  // the float32 data read as twice as many float16
  for (size_t at = 0; (at = half.find("F32", at)) != std::string::npos;) half.replace(at, 3, "F16");
  half.replace(half.find("[24]"), 4, "[48]");
  half.replace(half.find("[2,3,4]"), 7, "[4,3,4]");
  seeds.push_back({Kind::safetensors, half});
  return seeds;
}

// Loads the file as serving would; what was accepted must also be usable. Returns the largest block
// of memory that loading took.
size_t load(Kind kind, const std::string& path) {
  largest_allocation = 0;
  if (kind == Kind::config) {
    Config config = Config::load(path);
    transformer::GenerationConfig::load(path);
    const size_t largest = largest_allocation;
    if (config.num_parameters() <= 0 || !(Config::from_json(config.to_json()) == config))
      std::abort();
    return largest;
  }
  if (kind == Kind::tokenizer) {
    const Tokenizer tokenizer = Tokenizer::load(path);
    const size_t largest = largest_allocation;
    const std::string sample = "It was  the <think> 2026's \n\n times<|endoftext|>\xff";
    if (tokenizer.decode(tokenizer.encode(sample)) != sample) std::abort();
    if (Tokenizer::from_json(tokenizer.to_json()).to_json() != tokenizer.to_json()) std::abort();
    return largest;
  }
  const transformer::SafetensorsFile file(path);
  for (const auto& [name, info] : file.arrays()) {
    const int64_t bytes = file.read(name).bytes();
    largest_allocation = std::max(largest_allocation, static_cast<size_t>(bytes));
  }
  return largest_allocation;
}

struct Counts {
  int64_t accepted = 0, refused = 0, bad_messages = 0, too_large = 0;
  double worst_ratio = 0;  // largest allocation to file size, over files of at least 4 KiB
};

// A message, a path or a hash table is not smaller for a small file.
constexpr size_t kSmall = 4096;

void try_input(Kind kind, const std::string& bytes, const std::string& path, Counts& counts) {
  text::write_file(path, bytes);
  size_t largest = 0;
  std::string message;
  try {
    largest = load(kind, path);
    ++counts.accepted;
  } catch (const std::bad_alloc&) {  // nothing that fits the file may run out of memory
    ++counts.bad_messages;
    std::fprintf(stderr, "%s: out of memory\n", path.c_str());
  } catch (const std::exception& error) {
    ++counts.refused;
    largest = largest_allocation;
    message = error.what();
    const bool clear = !message.empty() && message.size() <= 300 &&
                       message.find_first_of("\n\r") == std::string::npos;
    if (!clear) {
      ++counts.bad_messages;
      std::fprintf(stderr, "%s: message of %zu bytes: %.300s\n", path.c_str(), message.size(),
                   message.c_str());
    }
  }
  if (bytes.size() >= kSmall) {
    counts.worst_ratio = std::max(counts.worst_ratio,
                                  static_cast<double>(largest) / static_cast<double>(bytes.size()));
  }
  if (largest > std::max(bytes.size() + 1, kSmall)) {  // a string ends with a NUL
    ++counts.too_large;
    std::fprintf(stderr, "%s: %zu bytes at once for a file of %zu bytes\n", path.c_str(), largest,
                 bytes.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long inputs = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 0;
  if (inputs <= 0 || argc > 3) {
    std::fprintf(stderr, "usage: fuzz_checkpoint N [seed], e.g. fuzz_checkpoint 10000 1\n");
    return 2;
  }
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  std::string directory = (std::filesystem::temp_directory_path() / "needle-fuzz-XXXXXX").string();
  if (!::mkdtemp(directory.data())) {
    std::perror("fuzz_checkpoint: cannot make a temporary folder");
    return 2;
  }
  std::printf("inputs are written to %s, where the last one stays after a crash\n",
              directory.c_str());
  std::fflush(stdout);

  const std::vector<Seed> seeds = make_seeds(directory);
  Counts counts;
  for (const Seed& valid : seeds) {
    try_input(valid.kind, valid.bytes, directory + "/" + kNames[int(valid.kind)], counts);
  }
  bool ok = counts.accepted == static_cast<int64_t>(seeds.size());
  if (!ok) std::fprintf(stderr, "an undamaged file was refused\n");

  Mutator mutator(seed);
  for (long i = 0; i < inputs; ++i) {
    const Seed& valid = seeds[static_cast<size_t>(i) % seeds.size()];
    try_input(valid.kind, mutator.mutate(valid), directory + "/" + kNames[int(valid.kind)], counts);
  }
  std::filesystem::remove_all(directory);
  ok = ok && counts.bad_messages == 0 && counts.too_large == 0;
  std::printf("accepted %ld, refused %ld, unclear messages %ld, allocations too large %ld\n",
              counts.accepted, counts.refused, counts.bad_messages, counts.too_large);
  std::printf("largest allocation: %.2f times the file\n", counts.worst_ratio);
  std::printf("fuzz: %ld inputs, 0 crashes\n", inputs);
  return ok ? 0 : 1;
}
