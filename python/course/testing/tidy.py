"""clang-tidy over the library's .cc files. A file that was clean is not looked at again until it,
a header that it includes, the rules or the tool change."""

import hashlib
import json
import subprocess
from pathlib import Path

from ..paths import BUILD, RELEASE, ROOT, VENV

FOLDER = BUILD / "lint"
# Known to g++ only; clang stops at them.
GXX_ONLY = {"-fno-new-ttp-matching", "-fno-gnu-unique"}
SHOWN = 40


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
        self._write_database()

    def files(self) -> list[Path]:
        """The files to check, largest first, so that the slow ones do not come last."""
        return sorted(self._entries, key=lambda path: -path.stat().st_size)

    def check(self, file: Path) -> str:
        """ "" if the file is clean, else what clang-tidy found."""
        mark = FOLDER / self._key(file)
        if mark.exists():
            return ""
        command = ["clang-tidy", "--quiet", "-p", str(FOLDER), str(file)]
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            return f"clang-tidy: {error.strerror}"
        if done.returncode == 0:
            mark.touch()
            return ""
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        lines = lines or done.stderr.strip().splitlines()
        return "\n".join(lines[:SHOWN]) or f"exit status {done.returncode}"

    def _key(self, file: Path) -> str:
        entry = self._entries[file]
        state = hashlib.sha256(f"{self._common}{_arguments(entry)}".encode())
        for path in [file, *self._headers.get(entry.get("output", ""), [])]:
            state.update(str(path).encode())
            state.update(path.read_bytes() if path.exists() else b"")
        return state.hexdigest()

    def _write_database(self) -> None:
        entries = [
            entry | {"command": _arguments(entry), "file": str(path)}
            for path, entry in self._entries.items()
        ]
        text = json.dumps(entries, indent=1)
        (FOLDER / "compile_commands.json").write_text(text, encoding="utf-8")


def _arguments(entry: dict[str, str]) -> str:
    return " ".join(word for word in entry["command"].split() if word not in GXX_ONLY)


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
