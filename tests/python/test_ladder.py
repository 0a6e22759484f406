"""The ladders: every rung against NumPy, the last one the library's own, and the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from course.errors import CourseError
from course.ladder import cases, check, result, roofline, timing
from course.ladder.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
UNIT = 2.0**-24
LADDERS = {"matmul": 8, "softmax": 4, "sum": 6}


def rungs(name: str) -> list:
    return [pytest.param(rung, id=f"{name}-{rung.name}") for rung in getattr(ndl.ladder, name)]


EVERY = [rung for name in LADDERS for rung in rungs(name)]


@pytest.mark.parametrize(("name", "count"), LADDERS.items())
def test_names_files_and_the_library_at_the_top(name, count):
    ladder = getattr(ndl.ladder, name)
    assert [rung.name for rung in ladder] == [f"v{i + 1}" for i in range(count)]
    assert len({rung.idea for rung in ladder}) == count
    for rung in ladder:
        assert (ROOT / rung.file).is_file(), rung.file
        assert "(Lesson 04)" in (ROOT / rung.file).read_text(encoding="utf-8")
        assert repr(rung) == f"{rung.name}: {rung.idea}"
    # Function pointers are compared: the last rung is what the library calls, the others are not.
    assert [rung.is_slot for rung in ladder] == [False] * (count - 1) + [True]


def test_bytes_are_those_of_the_inner_loops():
    lanes = {"sse2": 4, "avx2": 8, "avx512": 16, "neon": 4}[ndl.cpu.isa()]
    v1, v2, v3, v4, *_ = [rung.flop_per_byte for rung in ndl.ladder.matmul]
    assert v1 == 2 / 8
    assert v2 == v3 == 2 / 12
    assert v4 == pytest.approx(2 * 6 * 2 * lanes / (4 * (6 + 2 * lanes)))
    assert {rung.flop_per_byte for rung in ndl.ladder.sum} == {0.25}


# --- right for every size ---

SHAPES = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (2, 3, 0), (0, 0, 0), (1, 1000, 1), (5, 1, 7),
          (6, 4, 16), (7, 5, 17), (12, 3, 31), (97, 9, 33), (13, 257, 65), (103, 513, 35),
          (7, 3, 2077)]  # fmt: skip


@pytest.mark.parametrize("rung", rungs("matmul"))
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_matmul(rung, m, k, n, rng):
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((k, n)).astype(np.float32)
    got = rung(ndl.tensor(a), ndl.tensor(b)).numpy()
    exact = a.astype(float) @ b
    bound = (k + 1) * UNIT * 1.01 * (np.abs(a).astype(float) @ np.abs(b))
    assert got.shape == (m, n)
    assert got.dtype == np.float32
    assert np.all(np.abs(got - exact) <= bound)


@pytest.mark.parametrize("rung", rungs("matmul"))
def test_matmul_lets_nan_and_infinity_through(rung):
    a, b = np.ones((9, 7), np.float32), np.ones((7, 20), np.float32)
    a[3, 2], b[4, 18] = np.nan, np.inf
    got = rung(ndl.tensor(a), ndl.tensor(b)).numpy()
    assert np.array_equal(got, a @ b, equal_nan=True)


def softmax(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        e = np.exp(x.astype(float) - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("rung", rungs("softmax"))
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (3, 1), (5, 8), (6, 17), (4, 33), (2, 3, 19), (3, 2000)]
)
def test_softmax(rung, shape, rng):
    x = (rng.standard_normal(shape) * 10).astype(np.float32)
    got = rung(ndl.tensor(x)).numpy()
    assert np.allclose(got, softmax(x), rtol=1e-4, atol=1e-6)
    assert np.allclose(got.sum(-1), 1, atol=1e-4)


@pytest.mark.parametrize("rung", rungs("softmax"))
@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
def test_softmax_of_nothing(rung, shape):
    assert rung(ndl.zeros(shape)).shape == shape


@pytest.mark.parametrize("rung", rungs("softmax"))
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1000])
@pytest.mark.parametrize("place", [0, 9, 20])
def test_softmax_of_odd_values(rung, odd, place):
    x = np.linspace(-1, 1, 63, dtype=np.float32).reshape(3, 21)
    x[1, place] = odd
    got = rung(ndl.tensor(x)).numpy()
    assert np.allclose(got, softmax(x), atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("rung", rungs("softmax"))
def test_softmax_of_minus_infinity_alone_is_nan(rung):
    assert np.isnan(rung(ndl.full((2, 11), -np.inf)).numpy()).all()


@pytest.mark.parametrize("rung", rungs("sum"))
@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (7,), (8,), (65,), (3, 5, 7), (4097,), (140000,)]
)
def test_sum(rung, shape, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    got = rung(ndl.tensor(x))
    assert got.shape == ()
    bound = x.size * UNIT * 1.01 * np.abs(x).astype(float).sum()
    assert abs(got.item() - x.astype(float).sum()) <= bound


@pytest.mark.parametrize("rung", rungs("sum"))
@pytest.mark.parametrize("odd", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]])
def test_sum_of_odd_values(rung, odd):
    x = np.ones(301, np.float32)
    x[[50, 299][: len(odd)]] = odd
    with np.errstate(invalid="ignore"):
        assert np.array_equal(rung(ndl.tensor(x)).item(), x.sum(), equal_nan=True)


def test_pieces_keep_the_error_small():
    x = np.random.default_rng(1).random(1 << 20, np.float32)
    exact = x.astype(float).sum()
    first, *_, pieces, library = [abs(rung(ndl.tensor(x)).item() / exact - 1)
                                  for rung in ndl.ladder.sum]  # fmt: skip
    assert pieces < 5e-7 < first
    assert library < 5e-7


# --- mistakes ---


def text_of(rung, *operands) -> str:
    with pytest.raises((TypeError, ValueError)) as error:
        rung(*operands)
    return str(error.value)


@pytest.mark.parametrize("rung", rungs("matmul"))
def test_operands_that_no_rung_takes(rung):
    who, a = f"matmul {rung.name}: ", ndl.ones(3, 4)
    assert text_of(rung, a, a) == who + "(3, 4) x (3, 4): inner sizes 4 and 3 differ"
    assert text_of(rung, a, ndl.ones(4)) == who + "(3, 4) x (4,): two matrices are wanted"
    far = a.transpose(0, 1)
    assert "b of shape (4, 3) has strides (1, 4); make it compact" in text_of(rung, a, far)
    assert "a is float64; the rungs know" in text_of(rung, ndl.ones(2, 3, dtype="float64"), a)
    assert 'a is on reference; move it with to("cpu")' in text_of(rung, a.to("reference"), far)
    assert "expected a Tensor or NDArray, got int" in text_of(rung, 3, a)


def test_other_ladders_check_their_operand():
    for name in ("softmax", "sum"):
        rung = getattr(ndl.ladder, name)[0]
        assert f"{name} v1: x is int64" in text_of(rung, ndl.arange(3))
        assert "make it compact" in text_of(rung, ndl.ones(4, 4)[:, ::2])
    assert text_of(ndl.ladder.softmax[0], ndl.tensor(1.0)) == "softmax v1: x has no axis"


# --- the command's parts ---


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_a_wrong_rung_is_named_with_its_first_element(case):
    right = case.rungs[0]

    def broken(*operands):
        out = right(*operands).numpy().copy()
        if out.size > 20:
            out.flat[20] += 0.01
        elif out.ndim == 0 and np.isfinite(out) and operands[0].size > 60:
            out += 1
        return ndl.tensor(out)

    call = {"name": "v0", "file": "some/where.cc", "__call__": lambda _, *x: broken(*x)}
    rung = type("Broken", (), call)()
    assert check.check(case, [right]) == len(case.awkward())
    with pytest.raises(CourseError, match=rf"{case.name} v0 is wrong for \(.*: .* is ") as error:
        check.check(case, [rung])
    assert "some/where.cc" in str(error.value)


def test_differences_of_odd_values_are_found():
    want = np.array([1, np.nan, np.inf, 2])
    for at, value in enumerate([1.1, 0, -np.inf, np.nan]):
        got = want.copy()
        assert check.first_difference(got, want, np.full(4, 1e-3)) is None
        got[at] = value
        assert check.first_difference(got, want, np.full(4, 1e-3)) == (at,)


def test_slow_functions_get_fewer_turns(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def takes(seconds):
        def call():
            clock[0] += seconds

        return call

    found = timing.in_turns({"slow": takes(3.0), "half": takes(1.0), "fast": takes(1e-4)}, 9)
    assert [(t.turns, pytest.approx(t.seconds)) for t in found.values()] == [
        (1, 3.0), (4, 1.0), (9, 1e-4)
    ]  # fmt: skip


def made_up(name: str = "matmul", threads: int = 2) -> result.Result:
    """A run of a machine of 100 GFLOP/s."""
    limits = Limits("avx2", threads, 100e9, threads * 100e9,
                    {"L1": 200e9, "L2": 100e9, "L3": 60e9, "memory": 15e9})  # fmt: skip
    lines = [
        result.Line(f"v{i + 1}", "idea", "file", 1, 9, 1.0, flops / 1e9, flops / 1e11, x, flops)
        for i, (x, flops) in enumerate(
            [(0.25, 5e8), (0.167, 3e9), (0.167, 27e9), (2.18, 60e9), (2.18, 61e9), (2.18, 85e9),
             (2.18, 90e9), (2.18, 170e9)]
        )
    ]  # fmt: skip
    peer = result.Line("OpenBLAS", "", "", 1, 9, 1.0, 90, 0.9)
    return result.Result(name, 1024, "GFLOP/s", "FMA peak", limits, [*lines, peer])


@pytest.mark.parametrize("threads", [1, 2])
def test_terminal_shows_every_rung_in_80_columns(threads):
    text = roofline.terminal(made_up(threads=threads))
    lines = text.splitlines()
    assert all(len(line) <= 80 and line.isascii() for line in lines)
    inside = [line.split("|", 1)[1] for line in lines if "|" in line]
    for level in ("L1", "L2", "L3", "memory"):
        assert any(level in row for row in inside)
    rows = [re.sub(r"L\d", "", row) for row in inside]
    row = {mark: i for i, row in enumerate(rows) for mark in row if mark.isdigit()}
    assert sorted(row) == list("12345678")
    assert row["8"] < row["7"] <= row["6"] < row["4"] < row["3"] < row["2"] < row["1"]


def test_results_are_written_and_read(tmp_path):
    found = made_up()
    result.write([found], tmp_path / "x.json")
    assert result.read(tmp_path / "x.json") == [found]
    with pytest.raises(CourseError, match=r"x\.json: "):
        result.write([found], tmp_path / "none" / "x.json")


@pytest.mark.parametrize(("name", "size"), [("matmul", 64), ("softmax", 8), ("sum", 5000)])
def test_the_command_checks_times_draws_and_writes(name, size, tmp_path):
    files = {"--json": tmp_path / "out.json", "--svg": tmp_path / "out.svg"}
    done = subprocess.run(
        [sys.executable, "-m", "course", "ladder", name, "--size", str(size), "--threads", "2",
         *(str(word) for pair in files.items() for word in pair)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "agree with the reference device" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    (found,) = result.read(files["--json"])
    assert [line.name for line in found.rungs] == [f"v{i + 1}" for i in range(LADDERS[name])]
    assert all(line.rate > 0 and line.share > 0 for line in found.lines)
    assert json.loads(files["--json"].read_text())[0]["size"] == size
    picture = files["--svg"].read_text(encoding="utf-8")
    for line in found.rungs:
        assert f">{line.name}</text>" in picture
        assert line.idea in done.stdout
    peers = [line.name for line in found.lines if line.flops is None]
    assert peers == (["OpenBLAS", "OpenBLAS x2"] if name == "matmul" else [])


def test_openblas_agrees_and_a_missing_one_is_named(monkeypatch, rng):
    from course import openblas

    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 7), (7, 3)))
    out = np.empty((5, 3), np.float32)
    openblas.OpenBLAS().product(a, b, out)()
    assert np.allclose(out, a @ b, atol=1e-5)
    monkeypatch.setattr(openblas, "LIBRARY", Path("/no/such/library"))
    with pytest.raises(CourseError, match="apt-get install libopenblas0-pthread"):
        openblas.OpenBLAS()


def test_the_lesson_shows_the_stored_run():
    folder = ROOT / "lessons" / "04-hardware"
    text = (folder / "README.md").read_text(encoding="utf-8")
    for found in result.read(folder / "measured.json"):
        for line in found.lines:
            start = re.escape(f"| {line.name} | {line.idea} | ")
            row = rf"{start}[\d.]+ \| {line.rate:.1f} "
            assert re.search(row, text), f"{found.ladder} {line.name}: {line.rate:.1f} {found.unit}"
