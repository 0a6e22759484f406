"""Replacing a checkpoint folder: whatever happens, a complete one can be found."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from course.train import folder as module
from course.train.folder import recover, replace_folder

PYTHON = Path(__file__).resolve().parents[2] / "python"
# Writes version after version; every file of a folder holds its version.
WRITER = """
import sys
from pathlib import Path
from course.train import folder
if sys.argv[2] == "refused":
    folder._exchange = lambda a, b: False
version = 0
while True:
    version += 1
    def write(fresh):
        for name in "abcd":
            (fresh / name).write_text(str(version) * 5000)
    folder.replace_folder(Path(sys.argv[1]), write)
    print(version, flush=True)
"""


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def write_version(version: int) -> Callable[[Path], None]:
    def write(fresh: Path) -> None:
        for name in "ab":
            (fresh / name).write_text(str(version), encoding="utf-8")

    return write


@pytest.fixture(params=["exchange", "refused"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways: folders exchanged by the kernel, and a file system that refuses it."""
    if request.param == "refused":
        monkeypatch.setattr(module, "_exchange", lambda _a, _b: False)
    return request.param


def test_replaces_and_leaves_nothing_behind(tmp_path: Path, way: str) -> None:
    target = tmp_path / "model"
    for version in range(3):
        replace_folder(target, write_version(version))
        assert content(target) == {"a": str(version), "b": str(version)}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_kernel_can_exchange_here(tmp_path: Path) -> None:
    for name in "xy":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert module._exchange(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "x" / "y").exists()
    assert not module._exchange(tmp_path / "x", tmp_path / "missing")


def test_other_files_are_kept_obsolete_ones_not(tmp_path: Path, way: str) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    (target / "loss.png").write_text("old", encoding="utf-8")
    (target / "sub").mkdir()
    (target / "sub" / "x").write_text("deep", encoding="utf-8")
    replace_folder(target, write_version(1), obsolete=frozenset({"loss.png"}))
    assert (target / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (target / "sub" / "x").read_text(encoding="utf-8") == "deep"
    assert not (target / "loss.png").exists()


def test_a_failed_write_changes_nothing(tmp_path: Path, way: str) -> None:
    target = tmp_path / "model"
    replace_folder(target, write_version(1))

    def fail(fresh: Path) -> None:
        (fresh / "a").write_text("2", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        replace_folder(target, fail)
    assert content(target) == {"a": "1", "b": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_recover_takes_back_what_was_set_aside(tmp_path: Path) -> None:
    target = tmp_path / "model"
    replace_folder(target, write_version(1))
    target.rename(tmp_path / ".model.old")
    (tmp_path / ".model.new-999999999").mkdir()
    recover(target)
    assert content(target) == {"a": "1", "b": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_recover_leaves_other_runs_alone(tmp_path: Path) -> None:
    others = [".models.new-999999999", ".model2.old", ".model.new-1", "model.new-999999999"]
    for name in others:
        (tmp_path / name).mkdir()
    recover(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("how", ["exchange", "refused"])
def test_kill_at_random_moments_leaves_a_complete_folder(tmp_path: Path, how: str) -> None:
    target = tmp_path / "model"
    chance = random.Random(how)
    for _ in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target), how],
            env={"PYTHONPATH": str(PYTHON)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        first = child.stdout.readline()
        time.sleep(chance.uniform(0, 0.03))
        child.kill()
        said = [int(line) for line in [first, *child.stdout.read().split()]]
        child.wait()
        child.stdout.close()
        recover(target)
        found = content(target)
        assert sorted(found) == list("abcd")
        assert len(set(found.values())) == 1
        # What was reported as written is there, or the one after it.
        version = int(found["a"][: len(found["a"]) // 5000])
        assert version in {said[-1], said[-1] + 1}
        recover(target)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
