"""./course from outside: help, doctor, mistakes on the command line, the demo's parts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from course import demo, doctor
from course.errors import CourseError
from course.paths import ROOT
from course.serving import command

COMMANDS = [
    *["demo", "test", "train", "serve", "build", "doctor", "bench", "ladder", "sim"],
    *["status", "lesson", "check", "calendar"],
    *["unlock", "use", "grade", "submit", "release", "prove"],
]


def course(*arguments: str, **environment: str) -> tuple[int, str]:
    """Runs the installed part, without the setup that ./course does first."""
    done = subprocess.run(
        [sys.executable, "-m", "course", *arguments],
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT / "python"), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_help_lists_the_commands() -> None:
    status, text = course("--help")
    assert status == 0
    assert "Usage: ./course" in text
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(name: str) -> None:
    status, text = course(name, "--help")
    assert status == 0
    assert f"Usage: ./course {name}" in text
    assert f"Example: ./course {name}" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tset"], "No such command 'tset'"),
        (["train", "--no-such-option"], "--no-such-option"),
        (["test", "no-such-suite"], "The suites are: layers unit"),
        (["serve", "--model", "no-such-folder"], "no-such-folder"),
        (["demo", "--json", "no-such-folder/x.json"], "there is no folder"),
        (["ladder", "sort"], "The ladders are: matmul, softmax, sum"),
        (["ladder", "--svg", "x.svg"], "name it: matmul, softmax, sum"),
        (["ladder", "sum", "--size", "0"], "--size 0: want at least 1"),
        (["ladder", "sum", "--threads", "-1"], "--threads -1: want at least 1"),
        (["ladder", "sum", "--json", "no-such-folder/x.json"], "there is no folder"),
        (["lesson", "99"], "There is no lesson 99 in this tree"),
        (["check", "99"], "There is no lesson 99 in this tree"),
        (["calendar", "--first-day", "soon"], "want a date such as"),
        (["calendar", "--ics", "x.ics"], "--first-day YYYY-MM-DD"),
        (["grade", "hw99"], "There is no homework 'hw99' here"),
        (["use", "reshape", "mine"], "'reshape' is no homework"),
        (["use", "hw1.nothing", "mine"], "There is no region of hw1.nothing"),
        (["release", "hw1", "--out", "needle"], "is not empty"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], words: str) -> None:
    status, text = course(*arguments)
    assert status in {1, 2}
    assert words in text
    assert "Traceback" not in text


def test_doctor_runs_with_and_without_the_packages() -> None:
    status, text = course("doctor")
    assert status in {0, 1}
    for words in ["g++", "Debian, base", "Python, test", "CPU features", "threads", "CUDA"]:
        assert words in text
    bare = "import sys; sys.path.insert(0, 'python'); from course.doctor import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", bare], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"CPU features" in done.stdout


def test_doctor_says_what_to_do_about_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    rows = {row.what: row for row in doctor.examine()}
    assert rows["g++"].gap
    assert "./course build" in rows["g++"].advice
    assert not rows["CUDA compiler"].gap
    assert "ccache" in rows


def test_doctor_asks_the_library_for_its_instruction_set() -> None:
    import needle as ndl

    if os.environ.get("NEEDLE_ISA"):
        pytest.fail("NEEDLE_ISA is set: this test wants the machine as it is")
    used = {row.what: row for row in doctor.examine()}.get("needle runs on")
    assert used is not None
    assert used.found == ndl.cpu.isa()
    assert used.advice == ""


def test_serve_hands_the_arguments_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.serving.SERVER", Path(sys.executable))
    given = command(tmp_path, "--port", "0", "--api-key", "x")
    assert given == [sys.executable, "--model", str(tmp_path), "--port", "0", "--api-key", "x"]
    monkeypatch.setattr("course.serving.SERVER", tmp_path / "missing")
    with pytest.raises(CourseError, match="not built"):
        command(tmp_path)


def test_demo_table_compares_the_three_figures(capsys: pytest.CaptureFixture[str]) -> None:
    demo._print_table(Console(width=100), 2.0, (2.56, 2.116))
    said = capsys.readouterr().out
    for words in ["needle", "2.000", "gzip -9", "2.560", "order 3", "2.116"]:
        assert words in said


# --- README ---

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_short_and_its_folders_exist() -> None:
    assert len(README.splitlines()) <= 120
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    folders = [name for row in rows for name in re.findall(r"`([\w/]+)`", row)]
    assert len(folders) >= 10
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_readme_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example
    exec(compile(example.group(1), "README.md", "exec"), {})
    assert 0 < float(capsys.readouterr().out) < 0.69
