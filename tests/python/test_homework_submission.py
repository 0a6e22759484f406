"""Submissions: what ./course submit writes is read back; hostile zips are refused in a sentence."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from course.homework import regions, spec, submission
from course.homework.submission import Rejected
from course.paths import ROOT

HOMEWORK = spec.read(ROOT / "tests" / "homework" / "small", "hw1")
KNOWN = regions.scan(ROOT)
BODY = "regions/hw1.logsumexp.cc"


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "s.zip"
    submission.write(ROOT, HOMEWORK, path, "0.1.0")
    return path


def changed(path: Path, **entries: bytes) -> Path:
    """The zip with more or other entries; names are given with __ for /."""
    with zipfile.ZipFile(path) as archive:
        texts = {info.filename: archive.read(info) for info in archive.infolist()}
    texts |= {name.replace("__", "/"): data for name, data in entries.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in texts.items():
            archive.writestr(name, data)
    return path


def added(path: Path, info: zipfile.ZipInfo | str, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(info, data)
    return path


def test_there_and_back(honest: Path) -> None:
    received = submission.read(honest, HOMEWORK, KNOWN)
    assert received.submission.bodies == {name: KNOWN[name].body for name in HOMEWORK.regions}
    assert received.ignored == []
    assert received.flags == []
    manifest = json.loads(zipfile.ZipFile(honest).read("manifest.json"))
    assert manifest["regions"]["hw1.logsumexp"]["file"] == "needle/op/reduce.cc"
    assert manifest["needle"] == "0.1.0"


def test_only_regions_are_taken_and_the_rest_is_listed(honest: Path) -> None:
    added(honest, "conftest.py")
    added(honest, "regions/hw1.logsumexp.o")
    assert submission.read(honest, HOMEWORK, KNOWN).ignored == [
        "conftest.py",
        "regions/hw1.logsumexp.o",
    ]


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("../x", "leads out of the zip's folder"),
        ("regions/../../x", "leads out of the zip's folder"),
        ("/etc/x", "absolute"),
        ("c:\\x", "absolute or foreign"),
        ("-rf", "option"),
        ("@flags", "option"),
        ("a\nb", "control characters"),
        ("x" * 255, "too long"),
        ("/".join("d" * 50), "too deep"),
        (BODY.upper(), "twice"),
        (link("regions/link"), "a link or a device"),
    ],
)
def test_hostile_entries(honest: Path, entry: str | zipfile.ZipInfo, reason: str) -> None:
    with pytest.raises(Rejected, match=f"refused.*{reason}"):
        submission.read(added(honest, entry), HOMEWORK, KNOWN)


def test_bombs(honest: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="too large"):
        submission.read(added(honest, "zeros", bytes(20 << 20)), HOMEWORK, KNOWN)
    dense = tmp_path / "dense.zip"
    submission.write(ROOT, HOMEWORK, dense, "")
    with pytest.raises(Rejected, match="far more than it is"):
        submission.read(added(dense, "zeros", bytes(1 << 19)), HOMEWORK, KNOWN)
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(501):
            archive.writestr(str(i), b"")
    with pytest.raises(Rejected, match="501 entries"):
        submission.read(many, HOMEWORK, KNOWN)


def test_a_bomb_that_lies_about_its_size(honest: Path) -> None:
    added(honest, "zeros", bytes(3 << 20))
    data = honest.read_bytes()
    size = (3 << 20).to_bytes(4, "little")
    assert data.count(size) == 2  # in the local header and in the directory
    honest.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(Rejected, match="refused"):
        submission.read(honest, HOMEWORK, KNOWN)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"manifest.json": b"[]"}, "no readable manifest"),
        ({"manifest.json": b'{"schema": 1, "homework": "hw1", "regions": {}}'}, "of the kind"),
        ({BODY.replace("/", "__"): b"  return 1;\n"}, "not the text that the manifest speaks of"),
        ({BODY.replace("/", "__"): b"\xff"}, "not UTF-8"),
        ({BODY.replace("/", "__"): b"// END SOLUTION\n"}, "must not hold a marker"),
    ],
)
def test_contents(honest: Path, entries: dict[str, bytes], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        submission.read(changed(honest, **entries), HOMEWORK, KNOWN)


def test_another_homework_and_no_zip(honest: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(honest).read("manifest.json")) | {"homework": "hw2"}
    changed(honest, **{"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(Rejected, match="a submission of 'hw2', not of hw1"):
        submission.read(honest, HOMEWORK, KNOWN)
    other = tmp_path / "x.zip"
    other.write_bytes(b"no zip")
    with pytest.raises(Rejected, match="no sound zip"):
        submission.read(other, HOMEWORK, KNOWN)


def test_text_that_reads_otherwise_is_flagged(tmp_path: Path, monkeypatch) -> None:
    name = "hw1.logsumexp"
    changed_region = regions.Region(name, "needle/op/reduce.cc", 1, "", "// \u202e\n")
    monkeypatch.setattr(regions, "scan", lambda _root: KNOWN | {name: changed_region})
    path = tmp_path / "s.zip"
    submission.write(ROOT, HOMEWORK, path, "")
    (flag,) = submission.read(path, HOMEWORK, KNOWN).flags
    assert "direction of reading" in flag


def test_a_local_header_that_differs_from_the_directory(honest: Path) -> None:
    data = honest.read_bytes()
    first = data.index(BODY.encode())
    honest.write_bytes(data[:first] + BODY.upper().encode() + data[first + len(BODY) :])
    with pytest.raises(Rejected, match="no sound zip"):
        submission.read(honest, HOMEWORK, KNOWN)
