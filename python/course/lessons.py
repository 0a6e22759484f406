"""Lessons, their texts and notebooks, and the course's calendar from lessons/course.toml."""

import datetime
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from . import state
from .errors import CourseError
from .paths import ROOT, shown

TABLE = ROOT / "lessons" / "course.toml"
LINE = 75  # bytes of a line in an .ics file


def folder(number: int) -> Path:
    """The lesson's folder. CourseError if it is not there."""
    found = sorted((ROOT / "lessons").glob(f"{number:02d}-*"))
    if not found or not (found[0] / "README.md").is_file():
        here = ", ".join(str(n) for n in numbers()) or "none"
        raise CourseError(f"There is no lesson {number} in this tree; there is: {here}.")
    return found[0]


def numbers() -> list[int]:
    """The lessons that are in this tree."""
    texts = (ROOT / "lessons").glob("[0-9][0-9]-*/README.md")
    return sorted(int(path.parent.name[:2]) for path in texts)


def read(console: Console, number: int, notebook: bool) -> None:
    """Opens the text in $PAGER, or as Rich shows Markdown; or the notebook."""
    place = folder(number)
    if notebook:
        _open_notebook(console, place)
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in texts(place))
    state.record("lessons", str(number), {"read": state.today()})
    pager = shlex.split(os.environ.get("PAGER", ""))
    if pager and shutil.which(pager[0]) and console.is_terminal:
        subprocess.run(pager, input=text.encode(), check=False)
        return
    page = Markdown(text)
    if console.is_terminal:
        with console.pager(styles=True):
            console.print(page)
    else:
        console.print(page)


def texts(place: Path) -> list[Path]:
    """The lesson's text, and its other halves."""
    first = place / "README.md"
    return [first, *(path for path in sorted(place.glob("*.md")) if path != first)]


def _open_notebook(console: Console, place: Path) -> None:
    path = ROOT / "notebooks" / f"{place.name}.ipynb"
    if not path.is_file():
        raise CourseError(f"{shown(path)} is missing.")
    for more in sorted(path.parent.glob(f"{place.name}-*.ipynb")):
        console.print(f"Beside it is {more.name}.", highlight=False)
    jupyter = Path(sys.executable).with_name("jupyter-lab")
    if not jupyter.exists():
        raise CourseError(
            "JupyterLab is not installed: .venv/bin/python -m pip install jupyterlab", status=1
        )
    os.execv(jupyter, [str(jupyter), str(path)])


# --- the calendar ---


def course() -> dict[str, Any]:
    """lessons/course.toml"""
    try:
        return tomllib.loads(TABLE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CourseError(f"{shown(TABLE)} is missing.") from None
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{shown(TABLE)}: {error}") from None


def calendar(console: Console, first_day: str | None, ics: Path | None) -> None:
    """Prints the weeks, with dates if the first day is known, and writes an .ics file."""
    first = _date(first_day)
    if ics and first is None:
        raise CourseError("--ics needs the date of the first lecture: --first-day YYYY-MM-DD.")
    table = course()
    rows = Table("week", "lecture", "guest", "out", "due", title=table["title"])
    for week in table["week"]:
        number = week["number"]
        begins = f"{number}" if first is None else f"{number}  {_day(first, number)}"
        out, due = _dates(table, number, "release"), _dates(table, number, "due")
        rows.add_row(begins, week["lecture"], week.get("guest", ""), out, due)
    console.print(rows)
    for line in table["grading"]["rules"]:
        console.print(f"- {line}", markup=False, highlight=False)
    if ics and first:
        _write_ics(table, first, ics)
        console.print(f"{ics}: {len(_events(table, first))} events", highlight=False)


def _date(text: str | None) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        raise CourseError(f"--first-day {text}: want a date such as 2027-01-25.") from None


def _day(first: datetime.date, week: int) -> datetime.date:
    return first + datetime.timedelta(weeks=week - 1)


def _dates(table: dict[str, Any], week: int, kind: str) -> str:
    return ", ".join(entry["title"] for entry in table["work"] if entry.get(kind) == week)


def _events(table: dict[str, Any], first: datetime.date) -> list[tuple[datetime.date, str]]:
    events = [
        (_day(first, week["number"]), f"Lecture {week['number']}: {week['lecture']}")
        for week in table["week"]
    ]
    for entry in table["work"]:
        if "release" in entry:
            events.append((_day(first, entry["release"]), f"{entry['title']} is out"))
        # Due at the end of the week, the day before the next lecture.
        last = _day(first, entry["due"] + 1) - datetime.timedelta(days=1)
        events.append((last, f"{entry['title']} is due"))
    return sorted(events)


def _write_ics(table: dict[str, Any], first: datetime.date, path: Path) -> None:
    """RFC 5545: all-day events, folded lines, CRLF."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//needle//course//EN"]
    for number, (day, title) in enumerate(_events(table, first), 1):
        text = title.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
        end = day + datetime.timedelta(days=1)
        lines += [
            "BEGIN:VEVENT",
            f"UID:{number}-{first:%Y%m%d}@needle",
            f"DTSTAMP:{first:%Y%m%d}T000000Z",
            f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
            f"DTEND;VALUE=DATE:{end:%Y%m%d}",
            f"SUMMARY:{text}",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    folded = "".join(_fold(line) + "\r\n" for line in lines)
    try:
        path.write_bytes(folded.encode())
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}.") from None


def _fold(line: str) -> str:
    """Lines longer than 75 bytes go on in the next one after a space."""
    parts, current = [], ""
    for character in line:
        if len((current + character).encode()) > LINE - 1:
            parts.append(current)
            current = ""
        current += character
    return "\r\n ".join([*parts, current])
