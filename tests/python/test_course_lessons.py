"""Checks of a lesson, the calendar, and what is remembered of a learner."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from course import checks, lessons, state
from course.errors import CourseError

CHECKS = """
from course.checks import Check

def number(value):
    return None if value == 4 else "count again"

def function(value):
    return None if value(3) == 6 else "try it with 3"

CHECKS = [Check("four", "2 + 2?", number), Check("double", "Twice x.", function)]
"""
BLANK = "four = ...\n\ndef double(x):\n    ...\n"


def lesson(tmp_path: Path, answers: str) -> Path:
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "answers.py").write_text(answers)
    return tmp_path


def hints(tmp_path: Path, answers: str, seconds: float = 5) -> list[str | None]:
    return [hint for *_, hint in checks.verify(lesson(tmp_path, answers), seconds=seconds)]


RIGHT = "four = 4\ndef double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (RIGHT, [None, None]),
        (BLANK, ["unanswered", "try it with 3"]),
        (RIGHT.replace("4", "5"), ["count again", None]),
        (RIGHT.replace("four", "for_"), ["answers.py has no name four", None]),
        (RIGHT.replace("2 * x", "x / 0"), [None, "your answer raised ZeroDivisionError: "]),
        (RIGHT.replace("2 * x", "exit(0)"), [None, "your answer raised SystemExit"]),
        ("double = 3\nfour = 4", [None, "your answer raised TypeError"]),
        ("import os\nfour = 4\ndef double(x): os._exit(3)", [None, "not reached: the process"]),
    ],
)
def test_hints(tmp_path: Path, answers: str, expected: list[str | None]) -> None:
    found = hints(tmp_path, answers)
    assert len(found) == len(expected)
    for hint, start in zip(found, expected, strict=True):
        assert hint is None if start is None else hint is not None and hint.startswith(start)


def test_an_endless_answer_does_not_keep_the_others(tmp_path: Path) -> None:
    answers = "four = 4\ndef double(x):\n    while True:\n        pass\n"
    assert hints(tmp_path, answers, seconds=0.5) == [None, "no end after 0 s"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("four = 4\nx = (", r"answers.py:2: SyntaxError"),
        ("four = 4\n\nx = y", r"answers.py:3: NameError: name 'y' is not defined"),
        ("while True: pass", "Late: this took too long"),
    ],
)
def test_answers_that_cannot_be_read(tmp_path: Path, answers: str, message: str) -> None:
    with pytest.raises(CourseError, match=message):
        hints(tmp_path, answers, seconds=0.5)


def test_a_lesson_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"checks.py is missing"):
        checks.verify(tmp_path)


def test_all_halves_of_a_lesson_are_read(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "folder", lambda _root=None: tmp_path / ".course")
    page = io.StringIO()
    lessons.read(Console(file=page), 4, notebook=False)
    assert 0 < page.getvalue().find("Lesson 4: Hardware") < page.getvalue().find("half: the GPU")
    assert [path.name for path in lessons.texts(lessons.folder(2))] == ["README.md"]


def test_all_right_is_remembered(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(state, "folder", lambda _root=None: tmp_path / ".course")
    console = Console(file=io.StringIO())
    assert checks.check(console, lesson(tmp_path, BLANK), 2) == 1
    assert state.load() == {}
    assert checks.check(console, lesson(tmp_path, RIGHT), 2) == 0
    assert state.load() == {"lessons": {"2": {"checked": state.today()}}}


def test_state_is_added_to_and_survives_a_broken_file(tmp_path: Path) -> None:
    state.record("lessons", "1", {"read": "a"}, tmp_path)
    state.record("lessons", "1", {"checked": "b"}, tmp_path)
    assert state.load(tmp_path) == {"lessons": {"1": {"read": "a", "checked": "b"}}}
    (tmp_path / ".course" / "state.json").write_text("{")
    assert state.load(tmp_path) == {}
    assert (tmp_path / ".course" / "state.broken").read_text() == "{"


# --- the calendar ---


def test_the_course_has_thirteen_weeks_and_the_deadlines() -> None:
    table = lessons.course()
    assert [week["number"] for week in table["week"]] == list(range(1, 14))
    due = {entry["id"]: (entry.get("release"), entry["due"]) for entry in table["work"]}
    assert due == {
        "hw1": (1, 3),
        "hw2": (4, 6),
        "hw3": (7, 9),
        "hw4": (11, 13),
        "proposal": (None, 6),
        "midterm": (None, 9),
        "final": (None, 13),
    }
    scheme = table["grading"]["scheme"]
    mandatory = sum(entry["share"] for entry in scheme if entry["kind"] == "mandatory")
    assert mandatory + table["grading"]["elective_share"] == 100


def test_calendar_with_dates_and_file(tmp_path: Path) -> None:
    screen = io.StringIO()
    path = tmp_path / "course.ics"
    lessons.calendar(Console(file=screen, width=160), "2027-01-25", path)
    text = screen.getvalue()
    assert "1  2027-01-25" in text
    assert "13  2027-04-19" in text
    data = path.read_bytes()
    assert data.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert data.count(b"BEGIN:VEVENT") == data.count(b"END:VEVENT") == 13 + 4 + 7
    assert b"DTSTART;VALUE=DATE:20270214" in data  # Homework 1 is due on the third week's Sunday
    lines = data.split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert all(b"\n" not in line for line in lines)
    joined = data.replace(b"\r\n ", b"").decode()
    assert "SUMMARY:Lecture 4: Hardware acceleration: SIMD\\, memory\\, CUDA" in joined
