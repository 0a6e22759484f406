"""Byte-level BPE against Hugging Face's `tokenizers` and `transformers`."""

import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer

import needle as ndl

END = "<|endoftext|>"
MULTILINGUAL = """naïve café, Straße; Привет мир! Ελληνικά, עברית, العربية, हिन्दी, ไทย, 日本語
のテキスト 中文文本，한국어 텍스트. 😀👩‍👩‍👧 🇩🇪 e\u0301 \u0301x it's IT'S we'll I'm they've 'tis
x² ½ ٣٤ Ⅷ 12345 1,000.50\t\ttabs\r\n\r\n   spaces   \u00a0\u2003 \u3000 \x00\x01\x7f\x85\x1c
\ufeff\ufffd\U0010ffff if (x<=10) { return foo["bar"]; }  // done... ##-- __init__ \u017f 'ſ"""
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def byte_level(use_regex: bool = True) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split_by(regex: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(regex), "isolated")
    return pre_tokenizers.Sequence([split, byte_level(use_regex=False)])


PRE_TOKENIZERS = {
    "gpt2": byte_level(),
    "digits": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level()]
    ),
    "llama3": split_by(LLAMA3),
    "qwen2": split_by(QWEN2),
}


def peer_trained(
    text: str, vocab_size: int, pre_tokenizer: pre_tokenizers.PreTokenizer | None = None
) -> tokenizers.Tokenizer:
    """The peer library's tokenizer, trained on `text`."""
    peer = tokenizers.Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizer or byte_level()
    peer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator([text], trainer)
    return peer


def random_text(rng: random.Random, corpus: str) -> str:
    """Pieces of the corpus, characters that patterns treat specially, and any code point."""
    pools = [
        "abST'sldvrem ",
        " \t\n\r\n\u00a0\u3000\x85",
        "0123٣½Ⅷ",
        "ßÅ\u0301\u0327ſKİ",
        "日한😀",
        "!?.'\"(",
    ]
    parts = []
    for _ in range(rng.randrange(40)):
        kind = rng.random()
        if kind < 0.7:
            parts.append(rng.choice(rng.choice(pools)))
        elif kind < 0.85:
            code = rng.randrange(0x110000)
            parts.append(chr(code) if not 0xD800 <= code < 0xE000 else "'LL")
        else:
            at = rng.randrange(len(corpus))
            parts.append(corpus[at : at + rng.randrange(30)])
    return "".join(parts)


@pytest.fixture(scope="module")
def corpus() -> str:
    """Two books of the King James Bible and some text in many scripts."""
    command = ["bible", "-f", "gen1:1-exo40:38"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(text) > 300_000
    return text + MULTILINGUAL * 20


@pytest.fixture(scope="module")
def tok(corpus: str) -> ndl.text.Tokenizer:
    return ndl.text.Tokenizer.train(corpus, vocab_size=1024)


@pytest.fixture(scope="module")
def tok_and_peer(
    tok: ndl.text.Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ndl.text.Tokenizer, tokenizers.Tokenizer]:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tok.save(str(path))
    peer = tokenizers.Tokenizer.from_file(str(path))
    peer.encode_special_tokens = True
    return tok, peer


@pytest.mark.parametrize("vocab_size", [257, 1024, 5000])
def test_training_gives_the_same_vocabulary_and_merges(
    corpus: str, tmp_path: Path, vocab_size: int
) -> None:
    ours = ndl.text.Tokenizer.train(corpus, vocab_size=vocab_size)
    ours.save(str(tmp_path / "tokenizer.json"))
    model = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    peer = json.loads(peer_trained(corpus, vocab_size).to_str())["model"]
    assert ours.vocab_size == vocab_size
    assert [merge.split(" ") for merge in model["merges"]] == peer["merges"]
    assert model["vocab"] == peer["vocab"]


def test_training_on_bytes_and_on_text_is_the_same(corpus: str) -> None:
    sample = corpus[:50_000]
    one = ndl.text.Tokenizer.train(sample, vocab_size=400)
    other = ndl.text.Tokenizer.train(sample.encode(), vocab_size=400)
    assert one.encode(MULTILINGUAL) == other.encode(MULTILINGUAL)


def test_saved_file_gives_the_same_ids_in_both_peers(
    corpus: str, tok: ndl.text.Tokenizer, tmp_path: Path
) -> None:
    tok.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(tok.config_json(256), encoding="utf-8")
    ids = tok.encode(corpus)
    assert (
        tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(corpus).ids == ids
    )
    auto = AutoTokenizer.from_pretrained(tmp_path)
    assert auto(corpus)["input_ids"] == ids
    assert auto.decode(ids) == corpus
    assert auto.eos_token_id == tok.special_id(END)
    assert auto.model_max_length == 256
    assert len(auto) == tok.vocab_size
    again = ndl.text.Tokenizer.load(str(tmp_path / "tokenizer.json"))
    assert again.encode(corpus) == ids


@pytest.mark.parametrize("options", ["plain", "nfc", "ignore_merges", "added", "template"])
@pytest.mark.parametrize("name", list(PRE_TOKENIZERS))
def test_files_of_the_peer_give_the_same_ids(
    corpus: str, tmp_path: Path, name: str, options: str
) -> None:
    peer = peer_trained(corpus, 1500, PRE_TOKENIZERS[name])
    if options == "nfc":
        peer.normalizer = normalizers.NFC()
    elif options == "ignore_merges":
        peer.model.ignore_merges = True
    elif options == "added":
        peer.add_tokens(["<think>", "<thinking>", "日本"])
    elif options == "template":
        peer.post_processor = processors.TemplateProcessing(
            single=f"{END} $A", special_tokens=[(END, 0)]
        )
    peer.encode_special_tokens = True  # special tokens in the text are plain text
    path = tmp_path / "tokenizer.json"
    peer.save(str(path))
    ours = ndl.text.Tokenizer.load(str(path))
    rng = random.Random(f"{name} {options}")
    texts = [
        MULTILINGUAL,
        f"a<thinking>{END}<think> b",
        *(random_text(rng, corpus) for _ in range(1500)),
    ]
    expected = [e.ids for e in peer.encode_batch(texts, add_special_tokens=False)]
    for text, ids in zip(texts, expected, strict=True):
        assert ours.encode(text) == ids, ascii(text)
        if options != "nfc":
            assert ours.decode(ids) == text
    ours.save(str(path))
    saved = tokenizers.Tokenizer.from_file(str(path))
    saved.encode_special_tokens = True
    assert [e.ids for e in saved.encode_batch(texts, add_special_tokens=False)] == expected


@pytest.mark.parametrize("name", list(PRE_TOKENIZERS))
def test_every_code_point_is_classed_as_in_the_peer(tmp_path: Path, name: str) -> None:
    # A letter, a digit and a full stop each merge with any first byte that follows in their word,
    # so the ids show which of them a character shares a word with.
    file = json.loads(peer_trained("", 257, PRE_TOKENIZERS[name]).to_str())
    vocab, merges = file["model"]["vocab"], file["model"]["merges"]
    alphabet = [spelling for spelling in vocab if spelling != END]
    for left in "a1.":
        for right in alphabet:
            vocab[left + right] = len(vocab)
            merges.append([left, right])
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    ours, peer = ndl.text.Tokenizer.load(str(path)), tokenizers.Tokenizer.from_file(str(path))

    # The peer's Digits step asks tables that are newer than those of its regex engine.
    newer = {*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7)} if name == "digits" else set()
    planes = [*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200), 0xF0000, 0x10FFFF]
    codes = [c for c in planes if c not in newer]  # what is left out is not assigned
    for begin in range(0, len(codes), 1 << 14):
        chars = [chr(c) for c in codes[begin : begin + (1 << 14)]]
        text = "".join(f"a{c}1{c}.{c}{c}a" for c in chars)
        if ours.encode(text) != peer.encode(text).ids:
            wrong = [
                c for c in chars if ours.encode(t := f"a{c}1{c}.{c}{c}a") != peer.encode(t).ids
            ]
            pytest.fail(f"code points {[hex(ord(c)) for c in wrong[:20]]}")


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_has_the_same_ids_and_comes_back(
    tok_and_peer: tuple[ndl.text.Tokenizer, tokenizers.Tokenizer], text: str
) -> None:
    ours, peer = tok_and_peer
    ids = ours.encode(text)
    assert ids == peer.encode(text).ids
    assert ours.decode(ids) == text


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_come_back(
    tok_and_peer: tuple[ndl.text.Tokenizer, tokenizers.Tokenizer], data: bytes
) -> None:
    ours, _ = tok_and_peer
    assert ours.decode_bytes(ours.encode(data)) == data


def test_arrays_and_single_tokens(tok: ndl.text.Tokenizer) -> None:
    ids = tok.encode("In the beginning")
    array = tok.encode_array("In the beginning")
    assert array.dtype == np.int64
    assert array.tolist() == ids
    assert b"".join(tok.token_bytes(i) for i in ids) == b"In the beginning"
    assert tok.encode("") == []
    assert tok.encode_array("").shape == (0,)


def test_part_of_a_character_decodes_to_the_replacement_character(
    tok: ndl.text.Tokenizer,
) -> None:
    ids = tok.encode("𝄞")
    assert len(ids) == 4
    assert tok.decode_bytes(ids[:2]) == "𝄞".encode()[:2]
    assert tok.decode(ids[:2]) == "\ufffd"


def test_special_tokens_are_not_made_from_text(tok: ndl.text.Tokenizer) -> None:
    assert tok.special_id("<|none|>") is None
    end = tok.special_id(END)
    assert end == 0
    assert end not in tok.encode(f"a{END}b")
    assert tok.decode([end]) == END


def test_errors_are_python_exceptions(tok: ndl.text.Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocab_size 100, expected 257"):
        ndl.text.Tokenizer.train("text", vocab_size=100)
    with pytest.raises(IndexError, match="token id 1024 is outside the vocabulary, 0 to 1023"):
        tok.decode([1024])
    with pytest.raises(RuntimeError, match="cannot open"):
        ndl.text.Tokenizer.load(str(tmp_path / "none.json"))
    path = tmp_path / "tokenizer.json"
    unigram = tokenizers.Tokenizer(models.Unigram([("a", 0.0)], 0, False))
    unigram.save(str(path))
    with pytest.raises(ValueError, match=r"tokenizer\.json: model: type 'Unigram'"):
        ndl.text.Tokenizer.load(str(path))
