"""What the README says is so: its program runs, its commands exist, its folders are there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Every ./course line of the README, as words."""
    lines = "\n".join(blocks("sh")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "./course" in line]
    return [line[line.index("./course") + 1 :] for line in words]


def test_the_python_program_runs_and_learns():
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 0.69  # the labels are coin flips: log 2 before training


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(words):
    done = subprocess.run(
        [sys.executable, "-m", "course", words[0], "--help"],
        env={"PYTHONPATH": str(ROOT / "python"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(^|\W){option}\b", done.stdout), f"{option} is not in the help"


def test_every_folder_of_the_map_exists():
    rows = "\n".join(line for line in README.splitlines() if line.startswith("| `"))
    folders = re.findall(r"`((?:needle|python|tests)[\w/]*)`", rows)
    assert len(folders) > 8
    for folder in folders:
        assert (ROOT / folder).exists(), folder


def test_it_is_short():
    assert len(README.splitlines()) <= 120
