"""Finds the regions of the homeworks in the sources, checks them, reads and replaces their bodies.

A region is what stands between two comment lines, in C++ and CUDA with `//`, in Python with `#`:

    // BEGIN SOLUTION hw1.name
    ...
    // END SOLUTION

Bodies are text with "\\n" as line end; a byte order mark or "\\r\\n" in a file is no harm.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CourseError

SUFFIXES = {".cc", ".h", ".cu", ".cuh", ".py"}
FOLDERS = ["needle", "python/needle", "cuda"]
MAX_BYTES = 1 << 20
NAME = re.compile(r"hw\d+\.[a-z]\w*")
_MARK = re.compile(r"^[ \t]*(?://|#)[ \t]*(BEGIN|END) SOLUTION\b[ \t]*(.*?)[ \t]*$")


class RegionError(CourseError):
    """A marker is missing, doubled or out of place; the text starts with file:line."""


@dataclass(frozen=True)
class Region:
    """One region: where it is and what stands in it now."""

    name: str  # hw1.reshape
    path: str  # as in the tree: needle/array/ndarray.cc
    line: int  # of the body's first line, counted from 1
    indent: str
    body: str  # whole lines, each with its "\n"

    @property
    def homework(self) -> str:
        """hw1"""
        return self.name.partition(".")[0]

    @property
    def suffix(self) -> str:
        """.cc"""
        return Path(self.path).suffix

    @property
    def starter(self) -> str:
        """The body that a student begins with: it says that nothing is written yet."""
        return starter(self.name, self.suffix, self.indent)

    @property
    def is_starter(self) -> bool:
        """Whether nothing but the starter stands here, however it is indented."""
        return is_starter(self.body, self.name, self.suffix)


def starter(name: str, suffix: str, indent: str) -> str:
    """The body that raises NotImplementedError and names the region."""
    if suffix != ".py":
        return f'{indent}not_implemented("{name}");\n'
    lines = [
        "raise NotImplementedError(",
        f'    "{name} is not written yet; its place is between the lines "',
        f'    "BEGIN SOLUTION {name} and END SOLUTION"',
        ")",
    ]
    return "".join(f"{indent}{line}\n" for line in lines)


def is_starter(body: str, name: str, suffix: str) -> bool:
    """Whether a body is the starter, however it is indented."""
    return body.split() == starter(name, suffix, "").split()


def clean(data: bytes, shown: str) -> str:
    """A source file's text without byte order mark and with plain line ends."""
    if len(data) > MAX_BYTES:
        raise RegionError(f"{shown}: {len(data)} bytes; a source file has at most {MAX_BYTES}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RegionError(f"{shown}:{line}: this is not UTF-8 text.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(text: str, path: str) -> list[Region]:
    """The regions of a file in their order. RegionError if the markers are not in order."""
    found: list[Region] = []
    lines = _lines(text)
    begin: tuple[str, int, str] | None = None  # name, line of the marker, indent
    for number, line in enumerate(lines, 1):
        match = _MARK.match(line.rstrip("\n"))
        if not match:
            continue
        kind, name = match.groups()
        where = f"{path}:{number}"
        if kind == "BEGIN":
            if begin:
                raise RegionError(
                    f"{where}: {name or 'a region'} begins inside {begin[0]}, which began in line "
                    f"{begin[1]}; END SOLUTION must come first."
                )
            if not NAME.fullmatch(name):
                raise RegionError(
                    f"{where}: BEGIN SOLUTION needs a name such as hw1.reshape, not {name!r}."
                )
            begin = (name, number, line[: len(line) - len(line.lstrip(" \t"))])
        elif begin is None:
            raise RegionError(f"{where}: END SOLUTION without BEGIN SOLUTION before it.")
        elif name:
            raise RegionError(f"{where}: END SOLUTION stands alone in its line, not with {name!r}.")
        else:
            region, first, indent = begin
            if any(region == other.name for other in found):
                raise RegionError(f"{path}:{first}: there are two regions {region}.")
            found.append(
                Region(region, path, first + 1, indent, "".join(lines[first : number - 1]))
            )
            begin = None
    if begin:
        raise RegionError(f"{path}:{begin[1]}: {begin[0]} has no END SOLUTION.")
    return found


def replace(
    text: str,
    path: str,
    bodies: Mapping[str, str],
    note: Callable[[str, Region], str] | None = None,
) -> str:
    """The file with the bodies of the named regions replaced, the others as they are.

    `note(place, region)` may give a line to put before the body ("begin") and after it ("end").
    """
    lines = _lines(text)
    for region in reversed(parse(text, path)):
        count = region.body.count("\n")
        body = bodies.get(region.name, region.body)
        start = region.line - 1
        before, after = (note("begin", region), note("end", region)) if note else ("", "")
        lines[start : start + count] = [before, body, after]
    return "".join(lines)


def check_body(body: str, where: str) -> None:
    """A body must not hold markers of its own: it would end its region."""
    for number, line in enumerate(body.split("\n"), 1):
        if _MARK.match(line):
            raise RegionError(f"{where}:{number}: a region's body must not hold a marker line.")


def write(root: Path, bodies: Mapping[str, str]) -> list[Region]:
    """Puts bodies into the files of the tree; gives the regions as they were before."""
    regions = scan(root)
    changed: list[Region] = []
    for path in dict.fromkeys(r.path for r in regions.values() if r.name in bodies):
        data = (root / path).read_bytes()
        text = clean(data, path)
        changed += [r for r in parse(text, path) if r.name in bodies]
        new = replace(text, path, bodies)
        if b"\r\n" in data:
            new = new.replace("\n", "\r\n")
        temporary = (root / path).with_name((root / path).name + ".new")
        temporary.write_bytes(new.encode())
        temporary.replace(root / path)
    return changed


def scan(root: Path) -> dict[str, Region]:
    """All regions of a tree by name, in the order of files and lines."""
    found: dict[str, Region] = {}
    for path in sources(root):
        data = (root / path).read_bytes()
        if b" SOLUTION" not in data:
            continue
        for region in parse(clean(data, path), path):
            if region.name in found:
                other = found[region.name]
                raise RegionError(
                    f"{path}:{region.line - 1}: there is another {region.name} in "
                    f"{other.path}:{other.line - 1}."
                )
            found[region.name] = region
    return found


def sources(root: Path) -> Iterator[str]:
    """The files that may hold regions, as paths in the tree."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
                yield str(path.relative_to(root))


def homework_number(name: str) -> int:
    """1 for hw1 and for hw1.reshape. CourseError for what is no homework."""
    match = re.fullmatch(r"hw([1-9]\d*)(\..*)?", name)
    if not match:
        raise CourseError(f"{name!r} is no homework; they are called hw1, hw2, ...")
    return int(match.group(1))


def _lines(text: str) -> list[str]:
    """The lines with their ends; only "\\n" ends a line, as for a compiler."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines
