// Tokenizer, decoder models and checkpoints.  (Lesson 06)
#include <pybind11/stl/filesystem.h>

#include "bind.h"
#include "needle/text/tokenizer.h"
#include "needle/transformer/checkpoint.h"
#include "needle/transformer/safetensors.h"

namespace needle::python {
namespace {

using Path = std::filesystem::path;
using text::Tokenizer;
using transformer::Config;
using transformer::Decoder;
using transformer::KVCache;

py::array_t<int64_t> id_array(const std::vector<int>& ids) {
  py::array_t<int64_t> out(static_cast<py::ssize_t>(ids.size()));
  std::copy(ids.begin(), ids.end(), out.mutable_data());
  return out;
}

void bind_text(py::module_& m) {
  py::class_<Tokenizer> tokenizer(
      m, "Tokenizer", "Byte-level byte-pair encoding; files are Hugging Face's tokenizer.json.");
  tokenizer.attr("__module__") = "needle.text";
  tokenizer
      .def_static(
          "train",
          [](std::string_view text, int vocab_size, const std::vector<std::string>& specials) {
            const py::gil_scoped_release guard;
            return Tokenizer::train(text, vocab_size, specials);
          },
          py::arg("text"), py::arg("vocab_size") = 1024,
          py::arg("specials") = std::vector<std::string>{"<|endoftext|>"},
          "Learns a vocabulary: the specials, the 256 bytes, then merges of the most frequent "
          "pairs.\n\n"
          "ValueError if vocab_size is below 256 + len(specials).")
      .def_static(
          "load", [](const Path& path) { return Tokenizer::load(path.string()); }, py::arg("path"),
          "Reads tokenizer.json. RuntimeError if the file cannot be read, ValueError if it is "
          "no byte-level BPE tokenizer.")
      .def_static(
          "from_json", [](std::string_view json) { return Tokenizer::from_json(json); },
          py::arg("json"), "A tokenizer from the text of a tokenizer.json.")
      .def("to_json", &Tokenizer::to_json, "The text of tokenizer.json.")
      .def(
          "save", [](const Tokenizer& self, const Path& path) { self.save(path.string()); },
          py::arg("path"), "Writes tokenizer.json to `path`.")
      .def("config_json", &Tokenizer::config_json, py::arg("max_length"),
           "The text of tokenizer_config.json for transformers; max_length is the context in "
           "tokens.")
      .def(
          "encode",
          [](const Tokenizer& self, std::string_view text) {
            const py::gil_scoped_release guard;
            return self.encode(text);
          },
          py::arg("text"), "Token ids of a str or bytes. Special tokens are not recognised in it.")
      .def(
          "encode_array",
          [](const Tokenizer& self, std::string_view text) {
            std::vector<int> ids;
            {
              const py::gil_scoped_release guard;
              ids = self.encode(text);
            }
            return id_array(ids);
          },
          py::arg("text"), "encode() as a NumPy array of int64.")
      .def(
          "decode_bytes",
          [](const Tokenizer& self, const std::vector<int>& ids, bool skip_special) {
            return py::bytes(self.decode(ids, skip_special));
          },
          py::arg("ids"), py::arg("skip_special") = false,
          "The bytes of the tokens, joined. IndexError for an id outside the vocabulary.")
      .def(
          "decode",
          [](const Tokenizer& self, const std::vector<int>& ids, bool skip_special) {
            const std::string bytes = self.decode(ids, skip_special);
            return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(
                bytes.data(), static_cast<py::ssize_t>(bytes.size()), "replace"));
          },
          py::arg("ids"), py::arg("skip_special") = false,
          "The text of the tokens; bytes that are no UTF-8 become U+FFFD.")
      .def(
          "token_bytes",
          [](const Tokenizer& self, int id) {
            return py::bytes(std::string(self.token_bytes(id)));
          },
          py::arg("id"), "The bytes of one token.")
      .def_property_readonly("vocab_size", &Tokenizer::vocab_size, "The largest id plus one.")
      .def("special_id", &Tokenizer::special_id, py::arg("content"),
           "The id of a special token, or None.")
      .def("is_special", &Tokenizer::is_special, py::arg("id"), "Whether the token is special.")
      .def("__len__", &Tokenizer::vocab_size);
}

void bind_config(py::module_& m) {
  py::class_<Config> config(
      m, "Config",
      "The sizes of a Llama-style decoder; names are those of Hugging Face's LlamaConfig.");
  config.attr("__module__") = "needle.transformer";
  const Config defaults;
  config.def(
      py::init([](int64_t vocab_size, int64_t hidden_size, int64_t intermediate_size,
                  int64_t num_hidden_layers, int64_t num_attention_heads,
                  std::optional<int64_t> num_key_value_heads, std::optional<int64_t> head_dim,
                  int64_t max_position_embeddings, double rope_theta, double rms_norm_eps,
                  double initializer_range, bool tie_word_embeddings,
                  std::optional<int> bos_token_id, const std::vector<int>& eos_token_ids) {
        Config c;
        c.vocab_size = vocab_size;
        c.hidden_size = hidden_size;
        c.intermediate_size = intermediate_size;
        c.num_hidden_layers = num_hidden_layers;
        c.num_attention_heads = num_attention_heads;
        c.num_key_value_heads = num_key_value_heads.value_or(0);
        c.head_dim = head_dim.value_or(0);
        c.max_position_embeddings = max_position_embeddings;
        c.rope_theta = rope_theta;
        c.rms_norm_eps = rms_norm_eps;
        c.initializer_range = initializer_range;
        c.tie_word_embeddings = tie_word_embeddings;
        c.bos_token_id = bos_token_id;
        c.eos_token_ids = eos_token_ids;
        c.validate();
        return c;
      }),
      py::kw_only(), py::arg("vocab_size"), py::arg("hidden_size"), py::arg("intermediate_size"),
      py::arg("num_hidden_layers"), py::arg("num_attention_heads"),
      py::arg("num_key_value_heads") = py::none(), py::arg("head_dim") = py::none(),
      py::arg("max_position_embeddings") = defaults.max_position_embeddings,
      py::arg("rope_theta") = defaults.rope_theta, py::arg("rms_norm_eps") = defaults.rms_norm_eps,
      py::arg("initializer_range") = defaults.initializer_range,
      py::arg("tie_word_embeddings") = defaults.tie_word_embeddings,
      py::arg("bos_token_id") = py::none(), py::arg("eos_token_ids") = std::vector<int>{},
      "ValueError if a value is out of range or two do not fit together.");
  const auto field = [&](const char* name, auto member, const char* doc) {
    config.def_readonly(name, member, doc);
  };
  field("vocab_size", &Config::vocab_size, "Tokens in the vocabulary.");
  field("hidden_size", &Config::hidden_size, "Width of the residual stream.");
  field("intermediate_size", &Config::intermediate_size, "Width inside the SwiGLU network.");
  field("num_hidden_layers", &Config::num_hidden_layers, "Blocks.");
  field("num_attention_heads", &Config::num_attention_heads, "Query heads.");
  field("num_key_value_heads", &Config::num_key_value_heads, "Key and value heads.");
  field("head_dim", &Config::head_dim, "Width of a head.");
  field("max_position_embeddings", &Config::max_position_embeddings, "The longest context.");
  field("rope_theta", &Config::rope_theta, "Base of the rotary angles.");
  field("rms_norm_eps", &Config::rms_norm_eps, "Added to the mean square in RMSNorm.");
  field("initializer_range", &Config::initializer_range, "Standard deviation of fresh weights.");
  field("tie_word_embeddings", &Config::tie_word_embeddings, "Whether the head is the embedding.");
  field("bos_token_id", &Config::bos_token_id, "Token in front of a text, or None.");
  field("eos_token_ids", &Config::eos_token_ids, "Tokens that end a text.");
  config
      .def_static(
          "load", [](const Path& path) { return Config::load(path.string()); }, py::arg("path"),
          "Reads config.json.")
      .def_static(
          "from_json", [](std::string_view json) { return Config::from_json(json); },
          py::arg("json"), "A config from the text of a config.json.")
      .def("to_json", &Config::to_json, "The text of config.json.")
      .def("num_parameters", &Config::num_parameters, "Elements of all weights.")
      .def(
          "__eq__", [](const Config& a, const Config& b) { return a == b; }, py::is_operator())
      .def("__repr__", [](const Config& self) { return "Config(" + self.to_json() + ")"; });
}

void bind_decoder(py::module_& m) {
  py::class_<KVCache> cache(
      m, "KVCache", "Keys and values of the positions seen so far, for one batch of sequences.");
  cache.attr("__module__") = "needle.transformer";
  cache
      .def(py::init(
               [](const Config& config, int64_t capacity, int64_t batch, const InDevice& device) {
                 return KVCache(config, capacity, batch, device.device);
               }),
           py::arg("config"), py::arg("capacity"), py::arg("batch") = 1, py::arg("device") = "cpu")
      .def_property_readonly("length", &KVCache::length, "Positions seen.")
      .def_property_readonly("capacity", &KVCache::capacity, "Room for so many positions.");

  py::class_<Decoder, nn::Module, py::smart_holder> decoder(
      m, "Decoder", py::dynamic_attr(), "A Llama-style language model (arXiv 2302.13971).");
  decoder.attr("__module__") = "needle.transformer";
  decoder
      .def(py::init<const Config&>(), py::arg("config"),
           "Weights normal with config.initializer_range, from manual_seed()'s generator.")
      .def_property_readonly(
          "config", [](const Decoder& self) { return self.config(); }, "The sizes of the model.")
      .def(
          "forward",
          [](Decoder& self, const In& tokens, KVCache* kv) {
            return released(kLongWork, [&] { return self.forward(tokens.tensor, kv); });
          },
          py::arg("tokens"), py::arg("cache") = py::none(),
          "tokens (batch, seq) int64 -> logits (batch, seq, vocab).\n\nWith a cache, tokens are "
          "the "
          "next ones of each sequence. ValueError beyond max_position_embeddings or its capacity.")
      .def(
          "forward_last",
          [](Decoder& self, const In& tokens, KVCache* kv) {
            return released(kLongWork, [&] { return self.forward_last(tokens.tensor, kv); });
          },
          py::arg("tokens"), py::arg("cache") = py::none(),
          "As forward, but only the last position's logits (batch, vocab).");

  m.def(
      "save_pretrained",
      [](Decoder& model, const Path& folder) {
        const py::gil_scoped_release guard;
        transformer::save_pretrained(model, folder.string());
      },
      py::arg("model"), py::arg("folder"),
      "Writes config.json, generation_config.json and model.safetensors into an existing "
      "folder.\n\n"
      "RuntimeError naming the file if it cannot be written.");
  m.def(
      "load_pretrained",
      [](const Path& folder) {
        const py::gil_scoped_release guard;
        return transformer::load_pretrained(folder.string());
      },
      py::arg("folder"),
      "The model in a folder. ValueError or RuntimeError naming the file and what is wrong with "
      "it.");
  m.def(
      "save_safetensors",
      [](const Path& path, const py::dict& arrays,
         const std::map<std::string, std::string>& metadata) {
        auto named = arrays_from("save_safetensors", arrays);
        for (auto& [name, array] : named) array = contiguous(to_device(array, Device{}));
        const py::gil_scoped_release guard;
        transformer::save_safetensors(path.string(), named, metadata);
      },
      py::arg("path"), py::arg("arrays"),
      py::arg("metadata") = std::map<std::string, std::string>{},
      "Writes {name: Tensor, NDArray or NumPy array} to a safetensors file. Not atomic.");
  m.def(
      "load_safetensors",
      [](const Path& path) {
        transformer::NamedArrays arrays;
        {
          const py::gil_scoped_release guard;
          arrays = transformer::load_safetensors(path.string());
        }
        py::dict out;
        for (const auto& [name, array] : arrays) {
          const bool known = array.dtype() != DType::bfloat16;
          out[py::str(name)] = numpy_view(known ? array : cast(array, DType::float32));
        }
        return out;
      },
      py::arg("path"),
      "{name: NumPy array} of a safetensors file; bfloat16, which NumPy lacks, as float32.\n\n"
      "RuntimeError if it cannot be read, ValueError if it is damaged.");
}

}  // namespace

void bind_models(py::module_& m) {
  bind_text(m);
  bind_config(m);
  bind_decoder(m);
}

}  // namespace needle::python
