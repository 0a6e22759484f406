"""Copies of source files with other bodies in them, and the way back to the student's lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import regions
from .regions import Region


@dataclass(frozen=True)
class Spliced:
    """A source file for one build."""

    path: str  # as in the tree
    text: str
    starts: dict[str, tuple[int, int]]  # Python: region -> (first line here, first line at home)

    def home_line(self, line: int) -> int:
        """The student's line for a line of this copy (Python; C++ has #line)."""
        best = max(
            (start for start in self.starts.values() if start[0] <= line), default=(line, line)
        )
        return line - best[0] + best[1]


def splice(root: Path, path: str, bodies: Mapping[str, str], places: Mapping[str, str]) -> Spliced:
    """The file of the tree with these bodies; compilers will report the lines of the tree.

    `places` says where a body was read if not in the tree: a name such as "hw1.reshape.cc".
    """
    text = regions.clean((root / path).read_bytes(), path)
    inside = regions.parse(text, path)
    if path.endswith(".py"):
        new = regions.replace(text, path, bodies)
        there = {region.name: region.line for region in regions.parse(new, path)}
        return Spliced(path, new, {r.name: (there[r.name], r.line) for r in inside})
    home = str(root / path)

    def note(place: str, region: Region) -> str:
        if place == "begin" and region.name in places:
            return f'#line 1 "{places[region.name]}"\n'
        line = region.line if place == "begin" else region.line + region.body.count("\n")
        return f'#line {line} "{home}"\n'

    new = f'#line 1 "{home}"\n' + regions.replace(text, path, bodies, note)
    return Spliced(path, new, {})
