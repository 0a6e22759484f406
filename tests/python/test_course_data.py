"""What the demo and training measure with: corpus, n-gram, split, batches, schedule, options."""

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from course import corpus
from course.baselines import gzip_bits_per_byte, ngram_bits_per_byte
from course.errors import CourseError
from course.train import data
from course.train.optimizer_state import flatten, unflatten
from course.train.options import TrainOptions
from course.train.schedule import AIM, UNUSED, Budget, evaluation_interval, learning_rate

# --- corpus ---


@pytest.fixture(scope="module")
def bible() -> bytes:
    return corpus.bible_text()


def test_corpus_has_no_references(bible: bytes) -> None:
    assert len(bible) > 4_000_000
    assert bible.count(b"\n") == corpus.VERSES
    assert bible.startswith(
        b"In the beginning God created the heaven and the earth.\nAnd the earth"
    )
    assert bible.endswith(b"The grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert not any(chr(byte).isdigit() for byte in set(bible))
    assert all(32 <= byte < 127 or byte == 10 for byte in set(bible))


def test_a_line_without_reference_is_refused() -> None:
    with pytest.raises(CourseError, match="no verse reference"):
        corpus.strip_references(b"Ge1:1 In the beginning\nno reference here\n")
    with pytest.raises(CourseError, match="2 verses; 31102"):
        corpus.strip_references(b"Ge1:1 In the beginning\n1Chr2:30 And the sons\n")


def test_baselines_on_the_corpus(bible: bytes) -> None:
    train, held_out = data.split(bible)
    assert gzip_bits_per_byte(held_out) == pytest.approx(2.56, abs=0.005)
    assert ngram_bits_per_byte(train, held_out, 3) == pytest.approx(2.12, abs=0.005)


# --- n-gram against the definition ---


def slow_ngram(train: bytes, held_out: bytes, order: int) -> float:
    """Witten-Bell by the formula, one byte and one context at a time."""
    text = train + held_out

    def probability(place: int, k: int) -> float:
        if k < 0:
            return 1 / 256
        context = text[place - k : place]
        following = Counter(
            train[i + k] for i in range(len(train) - k) if train[i : i + k] == context
        )
        lower = probability(place, k - 1)
        seen, kinds = sum(following.values()), len(following)
        if seen == 0:
            return lower
        return (following[text[place]] + kinds * lower) / (seen + kinds)

    bits = [-math.log2(probability(i, order)) for i in range(len(train), len(text))]
    return sum(bits) / len(bits)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_ngram_agrees_with_the_definition(order: int) -> None:
    train = b"she sells sea shells by the sea shore; the shells she sells are sea shells \xff\x00"
    held_out = b"surely she sells zebras\x00\xffby the sea"
    fast = ngram_bits_per_byte(train, held_out, order)
    assert fast == pytest.approx(slow_ngram(train, held_out, order), rel=1e-12)


def test_ngram_probabilities_sum_to_one() -> None:
    train = b"abracadabra, abracadabra"
    each = [2 ** -ngram_bits_per_byte(train, bytes([byte]), 3) for byte in range(256)]
    assert sum(each) == pytest.approx(1)


def test_ngram_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="order is 8"):
        ngram_bits_per_byte(b"abc" * 9, b"abc", 8)
    with pytest.raises(ValueError, match="not empty"):
        ngram_bits_per_byte(b"abc" * 9, b"", 3)


# --- text ---


def test_split_holds_out_the_last_five_percent() -> None:
    train, held_out = data.split(b"x" * 1000)
    assert (len(train), len(held_out)) == (950, 50)


@pytest.mark.parametrize("letter", ["é", "あ", "😀"])
def test_split_does_not_cut_a_character(letter: str) -> None:
    for extra in range(8):
        text = ("a" * extra + letter * 500).encode()
        train, held_out = data.split(text)
        assert train + held_out == text
        train.decode()
        held_out.decode()
        assert abs(len(held_out) - len(text) // 20) <= 3


@pytest.mark.parametrize(
    ("size", "words"), [(None, "No such file"), (0, "0 bytes"), (9, "9 bytes")]
)
def test_bad_texts_are_refused(tmp_path: Path, size: int | None, words: str) -> None:
    path = tmp_path / "text"
    if size is not None:
        path.write_bytes(b"x" * size)
    with pytest.raises(CourseError, match=words):
        data.read_text(path)


def test_batches_are_a_function_of_the_step() -> None:
    tokens = np.random.default_rng(0).integers(0, 1000, 5000)
    forwards = [data.Batches(tokens, 16, 4, 7).at(step) for step in range(200)]
    backwards = {step: data.Batches(tokens, 16, 4, 7).at(step) for step in reversed(range(200))}
    for step, (inputs, targets) in enumerate(forwards):
        assert inputs.shape == targets.shape == (4, 16)
        assert inputs.flags.c_contiguous
        assert targets.flags.c_contiguous
        np.testing.assert_array_equal(inputs, backwards[step][0])
        np.testing.assert_array_equal(targets, backwards[step][1])
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert not np.array_equal(forwards[0][0], data.Batches(tokens, 16, 4, 8).at(0)[0])


def test_an_epoch_sees_each_window_once() -> None:
    tokens = np.arange(10_000)
    batches = data.Batches(tokens, 16, 1, 3)
    epochs = []
    for epoch in range(2):
        steps = range(epoch * batches.windows, (epoch + 1) * batches.windows)
        starts = [int(batches.at(step)[0][0, 0]) for step in steps]
        assert len(set(starts)) == len(starts) == batches.windows
        assert len({start % 16 for start in starts}) == 1
        assert max(starts) + 16 < len(tokens)
        epochs.append(starts)
    assert epochs[0] != epochs[1]


def test_too_short_a_text_for_the_window() -> None:
    data.Batches(np.arange(33), 16, 1, 0).at(5)
    with pytest.raises(CourseError, match="needs 33"):
        data.Batches(np.arange(32), 16, 1, 0)


# --- schedule ---


def test_learning_rate_rises_and_falls_to_zero() -> None:
    rates = [learning_rate(step, 100, 2.0, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(2 / 90)
    assert learning_rate(100, 100, 2.0, 10) == 0
    assert learning_rate(50, None, 2.0, 10) == 2.0
    assert all(learning_rate(step, 5, 1.0, 40) > 0 for step in range(5))


@pytest.mark.parametrize("total", [1, 2, 19, 20, 21, 999])
def test_about_twenty_evaluations(total: int) -> None:
    every = evaluation_interval(total)
    assert every >= 1
    assert total // every <= 20
    assert total < 20 or total // every >= 10


@pytest.mark.parametrize(("slower", "after"), [(1.0, 30), (1.5, 30), (0.5, 30), (0.1, 6)])
def test_budget_is_used_but_never_exceeded(slower: float, after: float) -> None:
    """A simulated run, whose steps change speed after the plan was made."""
    budget = Budget(100.0)
    clock, step, total, plans = 2.0, 0, None, 0
    budget.evaluation_seconds, budget.closing_seconds = 0.2, 3.0
    while total is None or step < total:
        if step and budget.exhausted(clock):
            break
        seconds = 0.05 * (slower if clock > after else 1.0)
        clock, step = clock + seconds, step + 1
        budget.observe_step(seconds)
        if total is None and budget.knows_enough():
            total, plans = budget.plan(step, clock), plans + 1
            assert clock < 10
        elif total is not None and step < total:
            now = (step, total, clock)
            if budget.too_slow(*now) or budget.too_fast(*now):
                total, plans = budget.plan(step, clock), plans + 1
        if total and step % evaluation_interval(total) == 0:
            clock += budget.evaluation_seconds
    end = clock + budget.closing_seconds
    assert end <= 100
    assert plans == 1 if slower == 1 else plans <= 4
    assert step == total
    assert end > 100 * AIM * (1 if slower >= 1 else UNUSED) - 3


def test_budget_is_exhausted_when_one_more_step_might_be_too_late() -> None:
    budget = Budget(10.0, step_seconds=1.0, closing_seconds=2.0)
    assert not budget.exhausted(5.9)
    assert budget.exhausted(6.1)


# --- options and optimiser state ---


def test_options_survive_json() -> None:
    options = TrainOptions(steps=5, lr=1e-3)
    assert TrainOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 1.0},
        {"steps": None},
        {"steps": 0},
        {"vocab_size": 100},
        {"hidden_size": 100},
        {"heads": 4, "kv_heads": 3, "hidden_size": 64},
        {"lr": math.nan},
        {"seq": 1},
        {"minutes": -1.0, "steps": None},
        {"minutes": math.nan, "steps": None},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CourseError):
        TrainOptions(**({"steps": 5} | wrong))


@pytest.mark.parametrize("change", [{"seed": "1"}, {"seed": True}, {"lr": None}, {"more": 1}])
def test_damaged_options_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CourseError):
        TrainOptions.from_json(TrainOptions(steps=5).to_json() | change)


def test_optimizer_state_is_split_and_joined() -> None:
    state = {"step": 3, "m": {"0": np.ones(2), "1": np.zeros(3)}, "lr": 0.1, "v.0": np.arange(4)}
    arrays, numbers = flatten(state)
    assert numbers == {"step": 3, "lr": 0.1}
    assert sorted(arrays) == ["m/0", "m/1", "v.0"]
    again = unflatten(arrays, numbers)
    assert again["step"] == 3
    np.testing.assert_array_equal(again["m"]["0"], state["m"]["0"])
    np.testing.assert_array_equal(again["v.0"], state["v.0"])
