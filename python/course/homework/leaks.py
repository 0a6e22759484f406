"""Looks for pieces of stripped solutions in a folder: sequences of tokens, wherever they stand.

A sequence counts if it stood in stripped bodies and nowhere else in the library's own sources.
Spaces and line breaks do not matter; sequences are looked for with comments and without.
"""

import contextlib
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LENGTH = 8
LIBRARY = ("needle/", "python/", "cuda/")
CODE = {".cc", ".h", ".cu", ".cuh", ".py", ".pyi", ".md"}
MAX_UNPACKED = 64 << 20
_TOKEN = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^[ \t]*#[^\n]*|[ \t]#[^\n]*", re.S | re.M)
Window = tuple[str, ...]


@dataclass(frozen=True)
class Leak:
    """Where a piece of a solution was found."""

    path: str
    region: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.region}: {self.text}"


def secrets(stripped: dict[str, str], kept: Iterable[str]) -> dict[Window, str]:
    """The sequences that only stripped bodies hold, each with its region.

    stripped: the bodies by region; kept: the texts of the library as they are released.
    """
    found: dict[Window, str] = {}
    for region, body in stripped.items():
        for window in _windows(body, code=True):
            found.setdefault(window, region)
    for text in kept:
        for window in _windows(text, code=True):
            found.pop(window, None)
    return found


def scan(folder: Path, wanted: dict[Window, str]) -> list[Leak]:
    """All files of a folder, packed ones included; at most one leak for each file and region."""
    leaks: dict[tuple[str, str], Leak] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        name = str(path.relative_to(folder))
        for text, is_code in _texts(path.name, path.read_bytes()):
            for window in _windows(text, is_code):
                region = wanted.get(window)
                if region and (name, region) not in leaks:
                    leaks[name, region] = Leak(name, region, " ".join(window))
    return list(leaks.values())


def _windows(text: str, code: bool) -> Iterator[Window]:
    """All sequences of LENGTH tokens; of code also those that remain without comments."""
    variants = [text, _COMMENT.sub(" ", text)] if code else [text]
    for variant in variants:
        tokens = _TOKEN.findall(variant)
        yield from zip(*(tokens[i:] for i in range(LENGTH)), strict=False)


def _texts(name: str, data: bytes, depth: int = 0) -> Iterator[tuple[str, bool]]:
    """The texts in a file: itself, the strings of JSON and notebooks, the members of archives."""
    suffix = Path(name).suffix
    # In a binary, the strings alone are of interest: NULs and such must not glue or part tokens.
    yield data.replace(b"\0", b" ").decode("utf-8", errors="replace"), suffix in CODE
    if suffix in {".ipynb", ".json"}:
        with contextlib.suppress(ValueError, RecursionError):
            yield "\n".join(_strings(json.loads(data))), True
    if depth > 2:
        return
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as packed:
                inside = packed.read(MAX_UNPACKED)
        except (OSError, EOFError):
            return
        yield from _texts(name.removesuffix(".gz"), inside, depth + 1)
    elif data[:2] == b"PK" and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                if member.file_size <= MAX_UNPACKED:
                    yield from _texts(member.filename, archive.read(member), depth + 1)


def _strings(value: Any) -> Iterator[str]:
    """All strings of a JSON value; lists of lines are joined as they stand in a notebook."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        if value and all(isinstance(entry, str) for entry in value):
            yield "".join(value)
        else:
            for entry in value:
                yield from _strings(entry)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _strings(entry)
