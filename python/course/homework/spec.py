"""Reads homework/hwN/homework.toml: the questions, their points, and the regions they grade."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CourseError
from ..paths import shown

SECONDS = 5.0


@dataclass(frozen=True)
class Part:
    """Some questions that follow a lesson."""

    name: str
    lesson: int


@dataclass(frozen=True)
class Question:
    """What is graded as one: right in all cases, or no points (unless `partial`)."""

    id: str
    part: str
    points: int
    regions: tuple[str, ...]
    needs: tuple[str, ...] = ()
    partial: bool = False
    seconds: float = SECONDS  # of the processor, for all its cases
    plain: str = ""  # a mutant that is right but slow, for editions in which this is not due
    pace: float = 0.0  # cases of the group "fast": so many times as long as the peer, at most


@dataclass(frozen=True)
class Homework:
    """A homework: its folder and what homework.toml says."""

    name: str
    folder: Path
    title: str
    points: int
    parts: tuple[Part, ...]
    questions: tuple[Question, ...]

    def question(self, id: str) -> Question:
        """The question of this name. CourseError if there is none."""
        for question in self.questions:
            if question.id == id:
                return question
        known = " ".join(question.id for question in self.questions)
        raise CourseError(f"{self.name} has no question {id!r}. Its questions are: {known}.")

    simulated: bool = False  # its kernels run in the simulator

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions of all questions."""
        return tuple(dict.fromkeys(r for question in self.questions for r in question.regions))

    def of_region(self, region: str) -> list[Question]:
        """The questions that grade a region."""
        return [question for question in self.questions if region in question.regions]


def homeworks(root: Path) -> list[str]:
    """The names of the homeworks that this tree holds."""
    folders = (root / "homework").glob("hw*/homework.toml")
    names = [path.parent.name for path in folders]
    return sorted(names, key=lambda name: (len(name), name))


def load(root: Path, name: str) -> Homework:
    """The homework of this name in a tree. CourseError if there is none."""
    if not re.fullmatch(r"hw[1-9]\d*", name) or name not in homeworks(root):
        known = ", ".join(homeworks(root)) or "none"
        raise CourseError(f"There is no homework {name!r} here; there is: {known}.")
    return read(root / "homework" / name, name)


def read(folder: Path, name: str) -> Homework:
    """Reads and checks a folder's homework.toml. CourseError names what is wrong in it."""
    path = folder / "homework.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        homework = _homework(name, folder, table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{shown(path)}: {error}") from None
    except KeyError as error:
        raise CourseError(f"{shown(path)}: the key {error.args[0]!r} is missing.") from None
    if fault := _fault(homework):
        raise CourseError(f"{shown(path)}: {fault}")
    return homework


def _homework(name: str, folder: Path, table: dict[str, Any]) -> Homework:
    parts = tuple(Part(str(part["name"]), int(part["lesson"])) for part in table["part"])
    questions = tuple(
        Question(
            str(entry["id"]),
            str(entry["part"]),
            int(entry["points"]),
            tuple(entry["regions"]),
            tuple(entry.get("needs", [])),
            bool(entry.get("partial", False)),
            float(entry.get("seconds", SECONDS)),
            str(entry.get("plain", "")),
            float(entry.get("pace", 0)),
        )
        for entry in table["question"]
    )
    return Homework(
        name,
        folder,
        str(table["title"]),
        int(table["points"]),
        parts,
        questions,
        bool(table.get("simulated", False)),
    )


def _fault(homework: Homework) -> str:
    """What is wrong with the table, or nothing."""
    ids = [question.id for question in homework.questions]
    parts = {part.name for part in homework.parts}
    total = sum(question.points for question in homework.questions)
    if len(set(ids)) != len(ids):
        return "two questions have the same id."
    if total != homework.points:
        return f"the questions have {total} points together, and points = {homework.points}."
    for question in homework.questions:
        if not re.fullmatch(r"\w+", question.id):
            return f"the question's id {question.id!r} must be one word."
        if question.part not in parts:
            return f"question {question.id}: there is no part {question.part!r}."
        if not question.regions:
            return f"question {question.id}: it has no regions."
    return ""
