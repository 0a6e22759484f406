"""The student edition: nothing of a stripped body is in it, and what must stay is there."""

import gzip
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from course.errors import CourseError
from course.homework import bodies, leaks, regions, spec
from course.homework.release import release
from course.paths import ROOT

SECRET = (
    "  // Add from the right.\n  int64_t total = 0;\n"
    "  for (auto x : row) total = 3 * total + x;\n  return total;\n"
)
FILE = (
    "int64_t mix(const Row& row) {\n  // BEGIN SOLUTION hw1.mix\n"
    + SECRET
    + "  // END SOLUTION\n}\n"
    + "int two() {\n  // BEGIN SOLUTION hw2.two\n  return one() + one() * one() - zero();\n"
    + "  // END SOLUTION\n}\n"
)


def clone(tmp_path: Path, **files: str | bytes) -> Path:
    """A git clone that holds FILE and more; names are given with __ for /."""
    root = tmp_path / "full"
    everything = {"needle__array__mix.cc": FILE, "README.md": "read me\n"} | files
    for name, data in everything.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-f", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    return root


def test_bodies_become_starters_and_history_stays_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    root = clone(
        tmp_path,
        homework__hw1__README_md="handout",
        homework__hw1__hidden__oracle_py="x",
        homework__hw1__mutants__mix_a_cc="x",
        tests__lessons__a_py="x",
        tests__python__test_x_py="x",
        lessons__course__toml="",
    )
    (root / "untracked").write_text("x")
    assert release(root, "hw1", out) == ["hw1.mix", "hw2.two"]
    assert all(region.is_starter for region in regions.scan(out).values())
    names = {str(path.relative_to(out)) for path in out.rglob("*")}
    assert {"homework/hw1/README_md", "tests/python/test_x_py", "release.toml"} <= names
    assert not any("hidden" in n or "mutants" in n or "lessons/a" in n for n in names)
    assert not names & {".git", "untracked", "tests/lessons"}
    assert bodies.is_release(out)


def test_what_is_due_later_may_hold_a_plain_body(tmp_path: Path) -> None:
    table = """
title = "Later"
points = 5
part = [{name = "A", lesson = 4}]
question = [{id = "two", part = "A", points = 5, regions = ["hw2.two"], plain = "slow"}]
"""
    plain = "  // Slow.\n  return one() + one();\n"
    files = {
        "homework/hw2/homework.toml": table,
        "homework/hw2/mutants/two.slow.cc": plain,
        "homework/hw1/homework.toml": table.replace("hw2.two", "hw1.mix").replace("two", "mix"),
    }
    root = clone(tmp_path, **files)
    assert release(root, "hw1", tmp_path / "first") == ["hw1.mix"]
    assert regions.scan(tmp_path / "first")["hw2.two"].body == plain
    assert spec.homeworks(tmp_path / "first") == ["hw1"]
    assert release(root, "hw2", tmp_path / "second") == ["hw2.two"]
    assert regions.scan(tmp_path / "second")["hw2.two"].is_starter


def test_earlier_solutions_come_with_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert release(clone(tmp_path), "hw2", out) == ["hw2.two"]
    assert regions.scan(out)["hw1.mix"].body == SECRET
    regions.write(out, {"hw1.mix": "  return 1;\n"})
    bodies.use(out, "hw1", "reference")
    assert regions.scan(out)["hw1.mix"].body == SECRET
    bodies.use(out, "hw1", "mine")
    assert regions.scan(out)["hw1.mix"].body == "  return 1;\n"


def test_earlier_homeworks_may_stay_open(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert release(clone(tmp_path), "hw2", out, ["hw1"]) == ["hw1.mix", "hw2.two"]
    with pytest.raises(CourseError, match=r"hw1.mix is not here.*`./course use hw1 FILE.zip`"):
        bodies.use(out, "hw1", "reference")
    bodies.bring(out, "hw1", {"hw1.mix": "  return 1;\n"})
    assert regions.scan(out)["hw1.mix"].body == "  return 1;\n"


def notebook(text: str) -> str:
    return json.dumps({"cells": [{"source": text.splitlines(keepends=True)}]})


def packed(name: str, text: str, tmp_path: Path) -> bytes:
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return path.read_bytes()


SPREAD = SECRET.replace(" ", "\n   ").replace("(", "( ")
NO_COMMENT = "\n".join(SECRET.split("\n")[1:])
PART = "for (auto x : row) total"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("README.md", lambda _: f"Write\n```\n{PART}\n```\n"),
        ("notes", lambda _: SPREAD),
        ("a.cc", lambda _: NO_COMMENT.replace("total = 3", "/* why */ total = 3")),
        ("words.md", lambda _: "We // Add from the right. int64_t"),
        ("a.ipynb", lambda _: notebook(SECRET)),
        ("a.so", lambda _: b"\x7fELF\0\xff" + PART.encode() + b"\0"),
        ("a.gz", lambda _: gzip.compress(SECRET.encode())),
        ("a.zip", lambda path: packed("x.cc", SECRET, path)),
        ("a.zip", lambda path: packed("x.ipynb", notebook(SECRET), path)),
    ],
)
def test_a_leak_anywhere_ends_the_release(tmp_path: Path, name: str, make) -> None:
    root = clone(tmp_path, **{f"docs__{name}": make(tmp_path)})
    with pytest.raises(CourseError, match=f"(?s)Pieces of solutions.*docs/{name}: hw1.mix: "):
        release(root, "hw1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_library_says_elsewhere_is_no_leak(tmp_path: Path) -> None:
    other = f"int64_t other(const Row& row) {{\n{SECRET}}}\n"
    root = clone(tmp_path, needle__op__other_cc=other, docs__a=PART)
    subprocess.run(["git", "mv", "needle/op/other_cc", "needle/op/other.cc"], cwd=root, check=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "b"]
    subprocess.run(git, cwd=root, check=True)
    release(root, "hw1", tmp_path / "out")


def test_seven_tokens_are_no_leak() -> None:
    wanted = leaks.secrets({"hw1.a": "a b c d e f g h"}, [])
    assert len(wanted) == 1
    assert leaks.secrets({"hw1.a": "a b c d e f g"}, []) == {}


def test_idioms_and_files_to_leave_out_are_in_the_courses_table(tmp_path: Path) -> None:
    table = f'[release]\nidioms = ["{PART}"]\nleave_out = ["tests/full_*"]\n'
    root = clone(tmp_path, docs__a=PART, tests__full_a=SECRET, **{"lessons__course.toml": table})
    release(root, "hw1", tmp_path / "out")
    assert (tmp_path / "out" / "docs" / "a").read_text() == PART
    assert not (tmp_path / "out" / "tests").exists()


@pytest.mark.parametrize(
    ("homework", "closed", "message"),
    [
        ("hw3", [], "There are no regions of hw3"),
        ("array", [], "is no homework"),
        ("hw1", ["hw1"], "those of hw1 and later always stay closed"),
        ("hw1", ["hw2"], "always stay closed"),
        ("hw3", ["hw0"], "is no homework"),
    ],
)
def test_mistakes(tmp_path: Path, homework: str, closed: list[str], message: str) -> None:
    root = clone(tmp_path)
    with pytest.raises(CourseError, match=message):
        release(root, homework, tmp_path / "out", closed)
    assert not (tmp_path / "out").exists()


def test_a_release_is_made_from_a_full_clone_into_a_new_folder(tmp_path: Path) -> None:
    root = clone(tmp_path)
    with pytest.raises(CourseError, match="is not empty"):
        release(root, "hw1", root)
    release(root, "hw1", tmp_path / "out")
    with pytest.raises(CourseError, match="This is a student edition"):
        release(tmp_path / "out", "hw1", tmp_path / "again")
    (tmp_path / "bare").mkdir()
    with pytest.raises(CourseError, match="is no git clone"):
        release(tmp_path / "bare", "hw1", tmp_path / "again")


def test_every_homework_can_be_released(tmp_path: Path) -> None:
    for name in spec.homeworks(ROOT):
        opened = release(ROOT, name, tmp_path / name)
        assert {region.partition(".")[0] for region in opened} == {name}
        assert set(opened) == {n for n, r in regions.scan(tmp_path / name).items() if r.is_starter}


def test_the_whole_tree_can_be_released(tmp_path: Path) -> None:
    out = tmp_path / "out"
    opened = release(ROOT, "hw1", out)
    assert set(opened) == {n for n, r in regions.scan(ROOT).items() if r.homework == "hw1"}
    for name, region in regions.scan(out).items():
        assert region.is_starter == (region.homework == "hw1"), name
        assert region.body != regions.scan(ROOT)[name].body
    assert not list(out.glob("tests/python/test_homework_*"))
    for path in regions.sources(out):
        if path.endswith(".py"):
            compile((out / path).read_text(encoding="utf-8"), path, "exec")
