"""Regions of the homeworks: found, checked, replaced; the learner's bodies swapped in and out."""

import subprocess
from pathlib import Path

import pytest

from course.errors import CourseError
from course.homework import bodies, regions, spec
from course.paths import ROOT

FILE = """int twice(int x) {
  // BEGIN SOLUTION hw1.twice
  return x + x;
  // END SOLUTION
}

int half(int x) {
\t// BEGIN SOLUTION hw2.half
\treturn x / 2;
\t// END SOLUTION
}
"""


def tree(tmp_path: Path, text: str = FILE, name: str = "needle/array/a.cc") -> Path:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def clone(tmp_path: Path) -> Path:
    tree(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "reference"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    return tmp_path


def test_regions_of_the_library_and_of_homework_1_are_the_same() -> None:
    found = regions.scan(ROOT)
    assert {"hw1.reshape", "hw1.train_epoch", "hw1.backward"} <= set(found)
    assert found["hw1.train_epoch"].suffix == ".py"
    for name in spec.homeworks(ROOT):
        wanted = set(spec.load(ROOT, name).regions)
        assert wanted == {region for region in found if region.startswith(f"{name}.")}


def test_what_a_region_knows(tmp_path: Path) -> None:
    found = regions.scan(tree(tmp_path))
    twice, half = found["hw1.twice"], found["hw2.half"]
    assert (twice.line, twice.body, twice.homework) == (3, "  return x + x;\n", "hw1")
    assert half.starter == '\tnot_implemented("hw2.half");\n'
    assert not half.is_starter


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("// BEGIN SOLUTION hw1.a\n", "a.cc:1: hw1.a has no END SOLUTION"),
        ("x\n// END SOLUTION\n", "a.cc:2: END SOLUTION without BEGIN"),
        ("// BEGIN SOLUTION hw1.a\n// BEGIN SOLUTION hw1.b\n", "a.cc:2: hw1.b begins inside hw1.a"),
        ("// BEGIN SOLUTION a\n// END SOLUTION\n", "a.cc:1: BEGIN SOLUTION needs a name"),
        ("// BEGIN SOLUTION hw1.a\n// END SOLUTION hw1.a\n", "a.cc:2: END SOLUTION stands alone"),
        (2 * "// BEGIN SOLUTION hw1.a\n// END SOLUTION\n", "a.cc:3: there are two regions hw1.a"),
    ],
)
def test_markers_out_of_order(text: str, message: str) -> None:
    with pytest.raises(regions.RegionError, match=message):
        regions.parse(text, "a.cc")


def test_the_same_region_in_two_files_and_no_utf8(tmp_path: Path) -> None:
    tree(tree(tmp_path), name="needle/op/b.cc")
    with pytest.raises(regions.RegionError, match=r"op/b.cc:2: there is another hw1.twice in"):
        regions.scan(tmp_path)
    with pytest.raises(regions.RegionError, match="x:2: this is not UTF-8"):
        regions.clean(b"a\n\xff", "x")
    with pytest.raises(regions.RegionError, match="at most"):
        regions.clean(b" " * (1 << 20) + b"x", "x")


def test_line_ends_byte_order_mark_and_tabs_are_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + FILE.replace("\n", "\r\n")
    found = regions.scan(tree(tmp_path, text))
    assert found["hw1.twice"].body == "  return x + x;\n"
    regions.write(tmp_path, {"hw1.twice": "  return 2 * x;\n"})
    data = (tmp_path / "needle/array/a.cc").read_bytes()
    assert b"return 2 * x;\r\n" in data
    assert data.count(b"\n") == data.count(b"\r\n")


def test_replace_changes_the_named_body_alone() -> None:
    new = regions.replace(FILE, "a.cc", {"hw1.twice": "a;\nb;\n"})
    assert new == FILE.replace("  return x + x;\n", "a;\nb;\n")
    assert regions.replace(FILE, "a.cc", {}) == FILE


def test_a_body_with_markers_is_refused() -> None:
    with pytest.raises(regions.RegionError, match="x:2: a region's body must not hold a marker"):
        regions.check_body("a;\n // END SOLUTION\n", "x")


def test_python_starter_raises_and_names_the_region() -> None:
    text = regions.starter("hw1.train_epoch", ".py", "    ")
    with pytest.raises(NotImplementedError, match=r"hw1.train_epoch is not written yet"):
        exec(f"def f():\n{text}\nf()")
    assert not regions.parse(text, "a.py")
    assert regions.is_starter(text.replace("    ", "  "), "hw1.train_epoch", ".py")


# --- mine and reference ---


def test_own_bodies_go_out_and_come_back(tmp_path: Path) -> None:
    root = clone(tmp_path)
    own = "  return 2 * x;  // mine\n"
    assert bodies.open_regions(root, ["hw1.twice"]) == ["hw1.twice"]
    assert regions.scan(root)["hw1.twice"].is_starter
    regions.write(root, {"hw1.twice": own})
    assert bodies.use(root, "hw1", "reference") == ["hw1.twice: reference"]
    assert (root / "needle/array/a.cc").read_text() == FILE
    assert bodies.use(root, "hw1.twice", "mine") == ["hw1.twice: mine"]
    assert regions.scan(root)["hw1.twice"].body == own


def test_bodies_from_a_zip_never_take_the_place_of_ones_own(tmp_path: Path) -> None:
    root = clone(tmp_path)
    first, second = "  return x * 2;\n", "  return 2 * x;\n"
    starter = regions.scan(root)["hw1.twice"].starter
    for zipped in ({}, {"hw1.twice": starter}):
        [line] = bodies.bring(root, "hw1", zipped)
        assert line == "hw1.twice: reference (not written in the zip)"
    assert bodies.bring(root, "hw1", {"hw1.twice": first}) == ["hw1.twice: mine"]
    assert regions.scan(root)["hw1.twice"].body == first
    for whose in ("mine", "reference"):  # what stands in the tree, and what is kept meanwhile
        bodies.use(root, "hw1", whose)
        [line] = bodies.bring(root, "hw1", {"hw1.twice": second})
        assert line.startswith(f"hw1.twice: {whose} (yours here stays")
    bodies.use(root, "hw1", "mine")
    assert regions.scan(root)["hw1.twice"].body == first
    bodies.use(root, "hw1", "reference")
    assert (root / "needle/array/a.cc").read_text() == FILE


def test_the_reference_survives_a_commit_of_ones_own_body(tmp_path: Path) -> None:
    root = clone(tmp_path)
    bodies.open_regions(root, ["hw1.twice"])
    regions.write(root, {"hw1.twice": "  return 2 * x;\n"})
    words = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "mine"]
    subprocess.run(words, cwd=root, check=True)
    bodies.use(root, "hw1", "reference")
    assert (root / "needle/array/a.cc").read_text() == FILE


def test_a_region_that_was_begun_is_not_opened_again(tmp_path: Path) -> None:
    root = clone(tmp_path)
    regions.write(root, {"hw1.twice": "  return 2 * x;\n"})
    assert bodies.open_regions(root, ["hw1.twice"]) == []
    assert regions.scan(root)["hw1.twice"].body == "  return 2 * x;\n"


def test_without_a_reference_there_is_a_clear_error(tmp_path: Path) -> None:
    root = tree(tmp_path)
    with pytest.raises(CourseError, match=r"reference of hw1.twice is not here"):
        bodies.use(root, "hw1", "reference")
    (root / "release.toml").write_text("")
    with pytest.raises(CourseError, match="the student edition was made without it"):
        bodies.use(root, "hw1", "reference")
    for what, words in [("hw3", "There is no region of hw3"), ("array", "is no homework")]:
        with pytest.raises(CourseError, match=words):
            bodies.use(root, what, "mine")
    with pytest.raises(CourseError, match="mine, reference, or a submission's zip, not 'yours'"):
        bodies.use(root, "hw1", "yours")


# --- homework.toml ---

TOML = """title = "T"
points = 5
[[part]]
name = "A"
lesson = 2
[[question]]
id = "q"
part = "A"
points = 5
regions = ["hw1.twice"]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points = 5\nregions", "points = 4\nregions", "4 points together, and points = 5"),
        ('part = "A"', 'part = "B"', "there is no part 'B'"),
        ('title = "T"\n', "", "the key 'title' is missing"),
        ('regions = ["hw1.twice"]', "regions = []", "it has no regions"),
        ('title = "T"', "title =", "homework.toml: "),
    ],
)
def test_faults_of_homework_toml(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TOML
    (tmp_path / "homework.toml").write_text(TOML.replace(old, new))
    with pytest.raises(CourseError, match=message):
        spec.read(tmp_path, "hw1")
