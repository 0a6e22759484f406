"""The test runner itself: it must count right, and fail when it should."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import needle as ndl
from course.testing import lint, portability, run
from course.testing.doctest_suite import run_doctest
from course.testing.process import stream
from course.testing.pytest_suite import run_pytest
from course.testing.recorder import Counts, Recorder


class Screen:
    """A console whose text can be read."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file, width=80)

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()

    def recorder(self, strict: bool = False) -> Recorder:
        return Recorder(self.console, "suite", strict)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tests"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


# --- counting ---


def test_closing_line(screen: Screen) -> None:
    recorder = screen.recorder()
    recorder.passed(3)
    recorder.failed("x", "why\nbecause")
    recorder.skipped("y", "no reason")
    assert recorder.close() == Counts(3, 1, 1)
    assert re.fullmatch(r"suite: 3 passed, 1 failed, 1 skipped \(\d+\.\d s\)", screen.lines[-1])
    assert screen.lines[:3] == ["FAILED suite: x", "    why", "    because"]


def test_no_test_is_a_failure(screen: Screen) -> None:
    assert screen.recorder().close() == Counts(failed=1)
    assert screen.recorder().close(may_be_empty=True) == Counts()


def test_in_ci_only_what_wants_other_hardware_may_be_skipped(screen: Screen) -> None:
    recorder = screen.recorder(strict=True)
    recorder.skipped("a", "needs a CUDA device")
    recorder.skipped("b", "no GPU")
    recorder.skipped("c", "could not import torch")
    recorder.skipped("avx512", "this CPU does not have it")
    assert recorder.counts == Counts(failed=1, skipped=3)


@pytest.fixture
def three_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    def good(recorder: Recorder, pattern: str | None) -> None:
        recorder.passed(2)
        recorder.skipped("s", "GPU")

    def bad(recorder: Recorder, pattern: str | None) -> None:
        recorder.failed("f")

    monkeypatch.setattr(
        run, "SUITES", {"good": good, "bad": bad, "empty": lambda _recorder, _pattern: None}
    )
    monkeypatch.setattr(run, "WITH_NAMES", ["good", "empty"])


@pytest.mark.usefixtures("three_suites")
@pytest.mark.parametrize(
    ("names", "pattern", "last", "status"),
    [
        (["good"], None, "2 passed, 0 failed, 1 skipped", 0),
        (["good", "good"], None, "2 passed, 0 failed, 1 skipped", 0),
        (["bad", "good"], None, "2 passed, 1 failed, 1 skipped", 1),
        ([], None, "2 passed, 2 failed, 1 skipped", 1),
        ([], "x", "2 passed, 0 failed, 1 skipped", 0),
        (["empty"], None, "0 passed, 1 failed, 0 skipped", 1),
        (["empty"], "x", "0 passed, 1 failed, 0 skipped", 1),
    ],
)
def test_last_line_and_status(
    screen: Screen, names: list[str], pattern: str | None, last: str, status: int
) -> None:
    assert run.run_suites(screen.console, names, pattern) == status
    assert screen.lines[-1] == last


# --- doctest programs ---

SUMMARY = "echo '[doctest] test cases: 12 | {} passed | {} failed | {} skipped'; exit {}"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (SUMMARY.format(12, 0, 0, 0), Counts(12)),
        (SUMMARY.format(10, 2, 0, 1), Counts(10, 2)),
        (SUMMARY.format(11, 0, 1, 0), Counts(11, 0, 1)),
        (SUMMARY.format(12, 0, 0, 1), Counts(12, 1)),  # all passed, yet the program failed
        ("kill -SEGV $$", Counts(0, 1)),
        ("exit 0", Counts(0, 1)),
    ],
)
def test_doctest_counts(screen: Screen, tmp_path: Path, text: str, counts: Counts) -> None:
    recorder = screen.recorder()
    run_doctest(recorder, [program(tmp_path, text)], None)
    assert recorder.counts == counts


def test_doctest_shows_failures_and_passes_the_pattern(screen: Screen, tmp_path: Path) -> None:
    recorder = screen.recorder()
    text = 'echo "arguments: $*"; echo "[doctest] version"; ' + SUMMARY.format(1, 0, 11, 0)
    run_doctest(recorder, [program(tmp_path, text)], "matmul")
    assert screen.lines == ["arguments: --no-colors=true --test-case=*matmul*"]
    assert recorder.counts == Counts(1)


def test_doctest_program_that_is_missing(screen: Screen, tmp_path: Path) -> None:
    recorder = screen.recorder()
    run_doctest(recorder, [tmp_path / "unit"], None)
    assert recorder.counts == Counts(failed=1)
    assert "not built" in screen.lines[0]


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ("echo '[needle] instruction set: sse2';", 0),
        ("echo '[needle] instruction set: avx2';", 1),
        ("", 1),
    ],
)
def test_doctest_program_must_run_on_the_instruction_set(
    screen: Screen, tmp_path: Path, said: str, failed: int
) -> None:
    recorder = screen.recorder()
    text = said + "echo 'a.cc:1: ERROR'; " + SUMMARY.format(12, 0, 0, 0)
    run_doctest(recorder, ["sh", program(tmp_path, text)], None, name="ARM", isa="sse2")
    assert recorder.counts == Counts(12, failed)
    assert screen.lines[0] == "ARM: a.cc:1: ERROR"
    assert (screen.lines[1:2] == ["FAILED suite: ARM"]) == bool(failed)


def test_a_program_that_hangs_is_ended() -> None:
    assert stream(["sleep", "60"], print, timeout=0.2) == "no end after 0 s"


# --- portability ---


@pytest.mark.parametrize(
    ("here", "runs"),
    [
        (["avx512", "avx2", "sse2"], ["sse2", "neon", "avx512", "sse2", "avx2", "avx512"]),
        (["avx2", "sse2"], ["sse2", "neon", "avx2", "sse2", "avx2"]),
    ],  # of the whole program
)
def test_portability_skips_only_avx512(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, here: list[str], runs: list[str]
) -> None:
    monkeypatch.setattr(ndl.cpu, "isas", lambda: here)
    recorder = screen.recorder(strict=True)
    found = portability.runs(recorder)
    assert [run.isa for run in found if not run.only] == runs
    # Parts of it: bfloat16 in two layouts of other processors, on every instruction set.
    assert [run.isa for run in found if run.only] == 2 * here
    assert recorder.counts == Counts(skipped=int("avx512" not in here))
    said = "skipped suite: avx512: this CPU does not have it"
    assert screen.lines == ([] if "avx512" in here else [said])


# --- pytest ---

TESTS = """
import pytest
def test_good(): pass
def test_bad():
    print("heard")
    assert 1 == 2
@pytest.mark.skip(reason="not today")
def test_skipped(): pass
def test_skips_itself(): pytest.skip("no GPU here")
@pytest.mark.xfail
def test_known(): assert False
@pytest.fixture
def broken(): raise ValueError("fixture")
def test_broken(broken): pass
"""


def test_pytest_outcomes(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "test_y.py").write_text("import no_such_module", encoding="utf-8")
    recorder = screen.recorder()
    run_pytest(recorder, [str(tmp_path)], None)
    assert recorder.counts == Counts(passed=2, failed=3, skipped=2)
    text = "\n".join(screen.lines)
    for words in ["assert 1 == 2", "heard", "not today", "no GPU here", "no_such_module"]:
        assert words in text


def test_pytest_with_a_pattern_and_with_nothing(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(TESTS, encoding="utf-8")
    recorder = screen.recorder()
    run_pytest(recorder, [str(tmp_path)], "good")
    assert recorder.counts == Counts(passed=1)
    run_pytest(recorder, [str(tmp_path)], "nothing_of_that_name")
    assert recorder.counts == Counts(passed=1)
    run_pytest(recorder, [str(tmp_path / "no_such_folder")], None)
    assert recorder.counts == Counts(passed=1, failed=1)


# --- lint ---


def test_a_long_file_is_found(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    for lines in (400, 401):
        (tmp_path / f"{lines}.py").write_text("x = 1\n" * lines, encoding="utf-8")
    recorder = screen.recorder()
    for file in sorted(tmp_path.iterdir()):
        lint._check_length(recorder, file)
    assert recorder.counts == Counts(1, 1)
    assert "401" in screen.lines[0]


def test_lint_sees_the_files_of_the_tree_and_no_others() -> None:
    names = {str(path.relative_to(lint.ROOT)) for path in lint.source_files()}
    assert {"course", "README.md", "python/course/cli.py", ".ci/run"} <= names
    assert not any(name.startswith((".venv", "build/")) or name.endswith(".so") for name in names)
