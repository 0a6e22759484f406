"""clang-tidy over the library's .cc files. Files that were clean are not looked at again until one
of them, a header that they include, the rules or the tool change.

Files that were compiled alike are looked at several at a time, as one that includes them all: most
of the time goes into the headers that they share.
"""

import hashlib
import json
import subprocess
from pathlib import Path

from ..paths import BUILD, RELEASE, ROOT, VENV, shown

FOLDER = BUILD / "lint"
# Known to g++ only; clang stops at them.
GXX_ONLY = {"-fno-new-ttp-matching", "-fno-gnu-unique", "-fvect-cost-model=dynamic"}
# Options of one file, each with a value: where the object and the list of headers go; and the
# precompiled header, so that a file that does not include what it uses is found.
OWN = {"-o", "-MF", "-MQ", "-c", "-include"}
TOGETHER = 8
SHOWN = 40

Group = tuple[Path, ...]


class Tidy:
    """Knows how every file was compiled and which headers it read. Raises OSError or ValueError."""

    def __init__(self) -> None:
        database = json.loads((RELEASE / "compile_commands.json").read_text(encoding="utf-8"))
        self._entries: dict[Path, dict[str, str]] = {}
        for entry in database:
            path = (Path(entry["directory"]) / entry["file"]).resolve()
            # A kernel file is compiled once per instruction set; the first one stands for all.
            if path.suffix == ".cc" and path.is_relative_to(ROOT / "needle"):
                self._entries.setdefault(path, entry)
        self._headers = _headers()
        tool = subprocess.run(
            ["clang-tidy", "--version"], capture_output=True, text=True, check=False
        )
        rules = (ROOT / ".clang-tidy").read_text(encoding="utf-8")
        self._common = tool.stdout + rules
        FOLDER.mkdir(parents=True, exist_ok=True)

    def groups(self) -> list[Group]:
        """The files to check, those that were compiled alike and stand in one folder together."""
        alike: dict[tuple[Path, str], list[Path]] = {}
        for path in sorted(self._entries):
            alike.setdefault((path.parent, _arguments(self._entries[path])), []).append(path)
        groups = []
        for paths in alike.values():
            count = -(-len(paths) // TOGETHER)
            groups += [tuple(paths[i::count]) for i in range(count)]
        return sorted(groups, key=lambda group: -sum(path.stat().st_size for path in group))

    def check(self, group: Group) -> str:
        """ "" if the files are clean, else what clang-tidy found."""
        key = self._key(group)
        mark = FOLDER / key
        if mark.exists():
            return ""
        together = FOLDER / f"{key}.cc"
        lines = [f'#include "{path}"  // NOLINT(bugprone-suspicious-include)\n' for path in group]
        together.write_text("".join(lines), encoding="utf-8")
        fault = self._run(group[0], together)
        together.unlink()
        if fault and len(group) > 1:
            # Perhaps only because two files have a name in common.
            fault = "\n".join(filter(None, (self._run(path, path) for path in group)))
        if not fault:
            mark.touch()
        return fault

    def _run(self, like: Path, file: Path) -> str:
        """What clang-tidy finds in a file that is compiled as `like` was."""
        entry = self._entries[like]
        command = ["clang-tidy", "--quiet", f"--header-filter={ROOT}/needle/.*", str(file), "--"]
        command += _arguments(entry).split()
        try:
            done = subprocess.run(
                command,
                cwd=entry["directory"],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            return f"clang-tidy: {error.strerror}"
        if done.returncode == 0:
            return ""
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        lines = lines or done.stderr.strip().splitlines()
        return "\n".join(lines[:SHOWN]) or f"{shown(file)}: exit status {done.returncode}"

    def _key(self, group: Group) -> str:
        state = hashlib.sha256(self._common.encode())
        for file in group:
            entry = self._entries[file]
            state.update(_arguments(entry).encode())
            for path in [file, *self._headers.get(entry.get("output", ""), [])]:
                state.update(str(path).encode())
                state.update(path.read_bytes() if path.exists() else b"")
        return state.hexdigest()


def _arguments(entry: dict[str, str]) -> str:
    """The options of the compiler without those of this one file."""
    words = entry["command"].split()
    first = next(i for i, word in enumerate(words) if word.startswith("-"))
    kept = []
    for before, word in zip(words[first - 1 :], words[first:], strict=False):
        if word not in GXX_ONLY | OWN | {"-MD"} and before not in OWN:
            kept.append(word)
    return " ".join(kept)


def _headers() -> dict[str, list[Path]]:
    """For each object file, the headers of this tree that it was made from, as ninja knows."""
    command = [str(VENV / "bin" / "ninja"), "-C", str(RELEASE), "-t", "deps"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[Path]] = {}
    current: list[Path] = []
    for line in listed.splitlines():
        if line.startswith("    "):
            path = (RELEASE / line.strip()).resolve()
            if path.is_relative_to(ROOT) and not path.is_relative_to(VENV):
                current.append(path)
        elif ": #deps" in line:
            current = found.setdefault(line.split(": #deps")[0], [])
    return {name: sorted(paths) for name, paths in found.items()}
