"""Checks of a lesson: questions that a student answers in answers.py, verified by the lesson.

A lesson's folder holds checks.py with `CHECKS`, and answers.py with one top-level name for each.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import state
from .errors import CourseError
from .paths import ROOT, shown

SECONDS = 20.0
MAX_CHECKS = 20
UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Check:
    """`verify(value)` gives None for a right answer, else one sentence that helps, not tells."""

    name: str
    question: str
    verify: Callable[[Any], str | None]


def check(console: Console, lesson: Path, number: int) -> int:
    """Verifies all answers of a lesson, prints a table; status 0 if all are right."""
    results = verify(lesson)
    table = Table("check", "question", "outcome", title=f"Lesson {number}")
    for name, question, hint in results:
        style = "green" if hint is None else "dim" if hint == UNANSWERED else "red"
        table.add_row(name, question, Text(hint or "right", style=style))
    console.print(table)
    right = sum(1 for *_, hint in results if hint is None)
    if right == len(results):
        state.record("lessons", str(number), {"checked": state.today()})
    console.print(f"{right} of {len(results)} right", highlight=False)
    if right < len(results):
        console.print(f"Your answers are in {shown(lesson / 'answers.py')}.", highlight=False)
    return 0 if right == len(results) else 1


def verify(
    lesson: Path, answers: Path | None = None, seconds: float = SECONDS
) -> list[tuple[str, str, str | None]]:
    """(name, question, None or a hint) for every check; each may take so many seconds.

    The answers run in a process of their own. CourseError if they cannot be read.
    """
    path = answers or lesson / "answers.py"
    for file in (lesson / "checks.py", path):
        if not file.is_file():
            raise CourseError(f"{shown(file)} is missing.")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events"
        words = [str(lesson / "checks.py"), str(path), str(log), str(seconds)]
        ended = _run(words, seconds * MAX_CHECKS)
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines]
    for event in events:
        if "error" in event:
            raise CourseError(event["error"])
    if not events:
        raise CourseError(f"{shown(lesson / 'checks.py')} does not work: {ended}", status=1)
    hints = {event["name"]: event["hint"] for event in events[1:]}
    lost = f"not reached: {ended}"
    return [(name, question, hints.get(name, lost)) for name, question in events[0]["checks"]]


def _run(words: list[str], seconds: float) -> str:
    """Runs the process; gives a sentence on how it ended."""
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from course.checks import main; main()", *words],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {seconds:.0f} s"
    last = done.stderr.strip().splitlines()[-1:]
    return " ".join([f"the process of your answers ended with status {done.returncode}", *last])


def main() -> None:
    """In the process of its own: writes what it finds to a file, a line of JSON each."""
    checks, answers, log, seconds = sys.argv[1:]
    signal.signal(signal.SIGALRM, _alarm)
    with Path(log).open("w", encoding="utf-8") as sink:

        def emit(**event: Any) -> None:
            sink.write(json.dumps(event) + "\n")
            sink.flush()

        found = _names(Path(checks))["CHECKS"]
        emit(checks=[(one.name, one.question) for one in found])
        try:
            given = _timed(float(seconds), lambda: _names(Path(answers)))
        except (Exception, SystemExit, _Late) as error:
            emit(error=_unreadable(error, Path(answers)))
            return
        for one in found:
            emit(name=one.name, hint=_hint(one, given, float(seconds)))


class _Late(BaseException):
    """Raised by the alarm; not an Exception, so that an answer's own `except` lets it pass."""


def _alarm(*_: object) -> None:
    raise _Late("this took too long")


def _timed(seconds: float, call: Callable[[], Any]) -> Any:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _hint(one: Check, given: dict[str, Any], seconds: float) -> str | None:
    if one.name not in given:
        return f"answers.py has no name {one.name}"
    if given[one.name] is ...:
        return UNANSWERED
    try:
        hint = _timed(seconds, lambda: one.verify(given[one.name]))
    except _Late:
        return f"no end after {seconds:.0f} s"
    except (Exception, SystemExit) as error:
        return f"your answer raised {type(error).__name__}: {str(error)[:200]}"
    return None if hint is None else str(hint)


def _names(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8-sig"), str(path), "exec"), names)
    return names


def _unreadable(error: BaseException, path: Path) -> str:
    line = getattr(error, "lineno", None)
    for entry in traceback.extract_tb(error.__traceback__):
        if entry.filename == str(path):
            line = entry.lineno
    where = f"{shown(path)}:{line}" if line else shown(path)
    return f"{where}: {type(error).__name__.lstrip('_')}: {getattr(error, 'msg', None) or error}"
