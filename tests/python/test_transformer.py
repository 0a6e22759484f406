"""The decoder against transformers' Llama; checkpoints both ways; tokenizer and safetensors."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

import needle as ndl
from needle.transformer import Config, Decoder, KVCache, load_pretrained, save_pretrained

SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}


def llama(tied: bool, seed: int = 0) -> transformers.LlamaForCausalLM:
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **SIZES, tie_word_embeddings=tied, initializer_range=0.3, attn_implementation="eager"
    )
    return transformers.LlamaForCausalLM(config).eval()


def torch_logits(model: transformers.LlamaForCausalLM, tokens: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.numpy()


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def tied(request) -> bool:
    return request.param


@pytest.fixture
def pair(tied, tmp_path) -> tuple[transformers.LlamaForCausalLM, Decoder]:
    """A random Llama, and the needle model loaded from its checkpoint."""
    theirs = llama(tied)
    theirs.save_pretrained(tmp_path)
    return theirs, load_pretrained(tmp_path)


def test_logits_of_a_llama_made_by_transformers(pair, tied, rng):
    theirs, ours = pair
    assert ours.config.tie_word_embeddings is tied
    assert ours.config.num_key_value_heads == 2
    tokens = rng.integers(0, 97, (3, 40))
    with ndl.no_grad():
        got = ours(ndl.tensor(tokens))
    assert got.shape == (3, 40, 97)
    assert np.abs(got.numpy() - torch_logits(theirs, tokens)).max() <= 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_checkpoint_of_two_byte_weights_becomes_float32(dtype, tmp_path, rng):
    llama(False).to(dtype).save_pretrained(tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ours = load_pretrained(tmp_path)
    assert {p.dtype for p in ours.parameters()} == {ndl.float32}
    tokens = rng.integers(0, 97, (3, 40))
    with ndl.no_grad():
        got = ours(ndl.tensor(tokens)).numpy()
    assert np.abs(got - torch_logits(theirs.eval(), tokens)).max() <= 1e-4


def test_cached_decoding_gives_the_same_logits(pair, rng):
    theirs, ours = pair
    tokens = rng.integers(0, 97, (2, 30))
    expected = torch_logits(theirs, tokens)
    cache = KVCache(ours.config, capacity=30, batch=2)
    with ndl.no_grad():
        got = [ours(ndl.tensor(tokens[:, :7]), cache).numpy()]
        for i in range(7, 20):
            got.append(ours(ndl.tensor(tokens[:, i : i + 1]), cache).numpy())
        got.append(ours(ndl.tensor(tokens[:, 20:]), cache).numpy())
    assert cache.length == 30
    assert np.abs(np.concatenate(got, 1) - expected).max() <= 1e-4
    with pytest.raises(ValueError, match=r"30|capacity"):
        ours(ndl.tensor(tokens[:, :1]), cache)
    last = KVCache(ours.config, 30, 2)
    with ndl.no_grad():
        logits = ours.forward_last(ndl.tensor(tokens), last)
    assert np.abs(logits.numpy() - expected[:, -1]).max() <= 1e-4


def test_gradients_equal_those_of_transformers(pair, rng):
    theirs, ours = pair
    tokens = rng.integers(0, 97, (2, 17))
    logits = ours(ndl.tensor(tokens[:, :-1]))
    loss = ndl.cross_entropy(logits.reshape((-1, 97)), ndl.tensor(tokens[:, 1:]).reshape((-1,)))
    loss.backward()
    expected = theirs(torch.tensor(tokens), labels=torch.tensor(tokens)).loss
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    assert set(gradients) == {name for name, _ in ours.named_parameters()}
    for name, p in ours.named_parameters():
        scale = np.abs(gradients[name]).max()
        np.testing.assert_allclose(p.grad.numpy(), gradients[name], 1e-3, 1e-4 * scale, name)


def test_a_checkpoint_of_needle_loads_in_transformers(tied, tmp_path, rng):
    ours = Decoder(Config(**SIZES, tie_word_embeddings=tied, initializer_range=0.3))
    save_pretrained(ours, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors"}  # fmt: skip
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokens = rng.integers(0, 97, (2, 33))
    with ndl.no_grad():
        got = ours(ndl.tensor(tokens)).numpy()
    assert np.abs(got - torch_logits(theirs.eval(), tokens)).max() <= 1e-4
    again = load_pretrained(tmp_path)
    assert again.config == ours.config
    for name, t in again.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), ours.state_dict()[name].numpy())


def test_initialisation_follows_the_seed():
    config = Config(**SIZES)
    ndl.manual_seed(5)
    a = Decoder(config)
    ndl.manual_seed(5)
    b = Decoder(config)
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert p.tolist() == q.tolist(), name
    weight = dict(a.named_parameters())["model.embed_tokens.weight"].detach().numpy()
    assert weight.std() == pytest.approx(0.02, rel=0.05)
    assert config.num_parameters() == sum(p.size for p in a.parameters())
    assert Config.from_json(config.to_json()) == config


def test_a_decoder_in_a_python_module():
    class Wrapper(ndl.nn.Module):
        def __init__(self):
            super().__init__()
            self.lm = Decoder(Config(**SIZES))

        def forward(self, tokens):
            return self.lm(tokens).softmax(-1)

    m = Wrapper()
    assert all(name.startswith("lm.model.") for name, _ in m.named_parameters())
    m.load_state_dict(m.state_dict())
    y = m(ndl.tensor([[1, 2, 3]]))
    np.testing.assert_allclose(y.sum(-1).detach().numpy(), 1, 1e-5)
    with pytest.raises(IndexError, match="97"):
        m(ndl.tensor([[97]]))
    with pytest.raises(ValueError, match=r"64|max_position"):
        m(ndl.zeros(1, 65, dtype="int64"))
    with pytest.raises(TypeError, match="int64"):
        m(ndl.zeros(1, 3))


def test_safetensors_both_ways(tmp_path: Path, rng):
    arrays = {
        "a": rng.standard_normal((2, 3)).astype(np.float32),
        "b.c": rng.standard_normal(4),
        "n": np.arange(5),
        "i": np.arange(3, dtype=np.int32),
        "m": np.array([True, False]),
        "s": np.array(2.5, np.float32),
        "e": np.zeros((0, 3), np.float32),
    }
    ndl.save_safetensors(tmp_path / "ours", arrays, {"format": "pt"})
    theirs = safetensors.numpy.load_file(tmp_path / "ours")
    safetensors.numpy.save_file(arrays, tmp_path / "theirs")
    ours = ndl.load_safetensors(tmp_path / "theirs")
    for found in (theirs, ours):
        assert set(found) == set(arrays)
        for name, a in arrays.items():
            assert found[name].dtype == a.dtype
            np.testing.assert_array_equal(found[name], a)
    mixed = {"t": ndl.arange(6).reshape(2, 3).transpose(0, 1), "d": ndl.array([1.5])}
    ndl.save_safetensors(str(tmp_path / "mixed"), mixed)
    assert ndl.load_safetensors(str(tmp_path / "mixed"))["t"].tolist() == mixed["t"].tolist()
    (tmp_path / "bad").write_bytes(b"\xff" * 20)
    with pytest.raises(ValueError, match="bad"):
        ndl.load_safetensors(tmp_path / "bad")
    with pytest.raises(RuntimeError, match="nowhere"):
        ndl.save_safetensors(tmp_path / "nowhere" / "x", arrays)


def test_tokenizer(tmp_path: Path):
    text = "In the beginning God created the heaven and the earth. Äöü 日本 🙂\n" * 20
    tok = ndl.text.Tokenizer.train(text, vocab_size=300)
    assert tok.vocab_size <= 300
    assert tok.vocab_size > 270
    end = tok.special_id("<|endoftext|>")
    assert end is not None
    assert tok.special_id("nothing") is None
    ids = tok.encode(text)
    assert isinstance(ids, list)
    assert tok.decode(ids) == text
    assert tok.decode_bytes(np.array(ids)) == text.encode()
    assert tok.encode(text.encode()) == ids
    array = tok.encode_array(text)
    assert array.dtype == np.int64
    assert array.tolist() == ids
    assert tok.decode(ndl.tensor(array)[:10]) == tok.decode(ids[:10])
    assert tok.decode([*ids[:1], end], skip_special=True) == tok.decode(ids[:1])
    broken = tok.encode(b"\xff\xfe")
    assert tok.decode_bytes(broken) == b"\xff\xfe"
    assert tok.decode(broken) == "��"
    tok.save(tmp_path / "tokenizer.json")
    assert ndl.text.Tokenizer.load(tmp_path / "tokenizer.json").encode(text) == ids
    json.loads(tok.config_json(128))
