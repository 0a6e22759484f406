"""`./course grade --sanitize`: the failing case again, the region's file with ASan and UBSan."""

import re
import subprocess
from pathlib import Path

from .build import CompileError
from .grade import Grader, Outcome, Submission
from .session import Ended, Raised, open_box

OPTIONS = {
    # The interpreter frees little at its end, and LeakSanitizer would need ptrace.
    "ASAN_OPTIONS": "detect_leaks=0:handle_segv=1:abort_on_error=0:exitcode=86",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PYTHONMALLOC": "malloc",
}
SLOWER = 8
_UNDEFINED = re.compile(r"^(\S+?):(\d+):\d+: runtime error: (.*)$", re.MULTILINE)
_ADDRESS = re.compile(r"ERROR: AddressSanitizer: (.*)")
_FRAME = re.compile(r"^\s*#\d+ .* (\S+):(\d+)(?::\d+)?$", re.MULTILINE)


def examine(grader: Grader, submission: Submission, outcome: Outcome) -> list[str]:
    """What the sanitizers say of a question; of a right one, over all its cases."""
    question, known = outcome.question, grader.builder.regions
    files = {known[name].path for name in question.regions if known[name].suffix != ".py"}
    if not files:
        return [f"{question.id}: its regions are Python; the sanitizers look at C++."]
    if any(path.startswith("cuda/") for path in files):
        return [f"{question.id}: runs in the simulator, which looks for defects itself."]
    base = dict(grader.references) | {n: b for n, b in submission.bodies.items() if n in known}
    own = {name: submission.bodies[name] for name in question.regions}
    places = {n: p for n, p in submission.places.items() if n in own}
    try:
        chosen = grader.references or base
        package = grader.builder.package(dict(chosen) | own, places, files)
    except CompileError as error:
        return [f"{question.id}: does not compile with sanitizers: {error}"]
    preload = [runtime for name in ("libasan.so", "libstdc++.so") if (runtime := _library(name))]
    environment = OPTIONS | {"LD_PRELOAD": ":".join(preload)}
    cases = [outcome.case] if outcome.case else grader.oracle.cases(question.id)
    said, end = "", ""
    try:
        with open_box(
            package.folder, grader.driver, question.seconds * SLOWER, environment, memory=None
        ) as box:
            for case in cases:
                try:
                    box.ask(question.id, case.args, case.expected_bytes)
                except Ended as ended:
                    end = str(ended)
                    if not isinstance(ended, Raised):
                        break
            said = bytes(box.output).decode(errors="replace")
    except Ended as ended:
        return [f"{question.id}: the sanitizers cannot run here: {ended}"]
    return _findings(question.id, said, end, grader.builder.root, set(places.values()))


def _findings(id: str, said: str, end: str, root: Path, places: set[str]) -> list[str]:
    """The first fault and its line of source."""
    if match := _ADDRESS.search(said):
        kind = match[1].split(" on ")[0]
        frame = next(
            (
                frame
                for frame in _FRAME.finditer(said, match.end())
                if frame[1].startswith(f"{root}/") or Path(frame[1]).name in places
            ),
            None,
        )
        if frame is None:
            return [f"{id}: AddressSanitizer: {kind}, outside of the library's files"]
        return _at(id, f"AddressSanitizer: {kind}", frame[1], int(frame[2]), root)
    if match := _UNDEFINED.search(said):
        return _at(id, f"undefined behaviour: {match[3]}", match[1], int(match[2]), root)
    return [f"{id}: the sanitizers found nothing" + (f"; {end}" if end else "")]


def _at(id: str, what: str, file: str, line: int, root: Path) -> list[str]:
    shown = file.removeprefix(f"{root}/")
    lines = [f"{id}: {what}, {shown}:{line}"]
    path = Path(file)
    if path.is_file() and path.is_relative_to(root):
        text = path.read_text(encoding="utf-8", errors="replace").split("\n")
        if 0 < line <= len(text):
            lines.append(f"    {text[line - 1].strip()}")
    return lines


def _library(name: str) -> str:
    found = subprocess.run(
        ["c++", f"-print-file-name={name}"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if "/" in found.stdout else ""
