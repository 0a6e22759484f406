"""Proves a homework: the reference has all points, the starter none, every mutant loses some.

A mutant is a plausible wrong body: homework/hwN/mutants/QUESTION.NAME.cc. Its first line is a
comment that says what is wrong; where a question has several regions, it names the region too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..errors import CourseError
from . import regions
from .grade import JOBS, Grader, Outcome, Submission
from .spec import Question

UNWRITTEN = "is not written yet"  # what every starter says


@dataclass(frozen=True)
class Mutant:
    """A wrong body for one region of a question."""

    name: str
    question: Question
    region: str
    body: str
    why: str


@dataclass
class Proof:
    """What came out, in the keys of the JSON file, and what is wrong with it."""

    reference: int = 0
    starter: int = 0
    mutants: list[dict[str, Any]] = field(default_factory=list)
    alone: dict[str, int] = field(default_factory=dict)
    independent: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """For --json."""
        return {
            "reference": self.reference,
            "starter": self.starter,
            "mutants": self.mutants,
            "alone": self.alone,
            "independent": self.independent,
            "faults": self.faults,
        }


def prove(grader: Grader, report: Callable[[str], None] = lambda _: None) -> Proof:
    """Grades the reference, the starter, each region alone, and every mutant."""
    homework, known = grader.homework, grader.builder.regions
    missing = [name for name in homework.regions if name not in grader.references]
    if missing:
        raise CourseError(
            f"prove needs the reference, and that of {', '.join(missing)} is not here."
        )
    reference = {name: grader.references[name] for name in homework.regions}
    starters = {name: known[name].starter for name in homework.regions}
    mutants = read_mutants(grader)
    proof = Proof()

    report("reference")
    outcomes = grader.grade(Submission(reference), homework.questions)
    proof.reference = _points(outcomes)
    proof.faults += [
        f"reference: {o.question.id}: {o.verdict} {o.message}"
        for o in outcomes
        if o.points < o.question.points
    ]
    report("starter")
    proof.starter = _points(grader.grade(Submission(starters), homework.questions))
    ran = _starter_run(grader, starters)
    proof.starter += _points(ran)
    proof.faults += [f"starter: {o.question.id} has {o.points} points" for o in ran if o.points]
    proof.faults += [
        f"starter: {o.question.id} does not say what is missing: {o.message}"
        for o in ran
        if UNWRITTEN not in o.message + (o.difference.got if o.difference else "")
    ]

    with ThreadPoolExecutor(JOBS) as pool:
        alone = pool.map(lambda q: _alone(grader, q, starters, report), homework.questions)
        for question, (points, bare) in zip(homework.questions, alone, strict=True):
            proof.alone |= dict.fromkeys(question.regions, points)
            if points < question.points:
                proof.faults.append(f"alone: {question.id} has {points} of {question.points}")
            if bare is not None:
                proof.independent |= dict.fromkeys(question.regions, bare)
                if bare < question.points:
                    proof.faults.append(f"independent: {question.id} has {bare}")
        for mutant, lost in zip(
            mutants, pool.map(lambda m: _lost(grader, m, report), mutants), strict=True
        ):
            proof.mutants.append(
                {"name": mutant.name, "question": mutant.question.id, "lost": lost}
            )
            if not lost:
                proof.faults.append(f"mutant {mutant.name} loses nothing: {mutant.why}")
    return proof


def read_mutants(grader: Grader) -> list[Mutant]:
    """All mutants of the homework. CourseError if a file does not say what it is."""
    found = []
    folder = grader.homework.folder / "mutants"
    for path in sorted(folder.glob("*.*.*")):
        id, _, name = path.stem.partition(".")
        question = grader.homework.question(id)
        text = regions.clean(path.read_bytes(), path.name)
        regions.check_body(text, path.name)
        why = text.partition("\n")[0].lstrip("/# ").strip()
        if not text.lstrip().startswith(("//", "#")) or not why:
            raise CourseError(
                f"{path.name}: the first line must be a comment that says what is wrong."
            )
        named = [region for region in question.regions if region in why]
        if len(question.regions) > 1 and len(named) != 1:
            raise CourseError(f"{path.name}: the first line must name one of {question.regions}.")
        region = named[0] if named else question.regions[0]
        if grader.builder.regions[region].suffix == ".py":
            text = _indented(text, grader.builder.regions[region].indent)
        found.append(Mutant(f"{id}.{name}", question, region, text, why))
    return found


def _indented(text: str, indent: str) -> str:
    """A Python body may be written without the indent of its place."""
    first = next((line for line in text.split("\n")[1:] if line.strip()), "")
    if first.startswith(indent):
        return text
    return "".join(f"{indent}{line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))


def _starter_run(grader: Grader, starters: dict[str, str]) -> list[Outcome]:
    """The starter, run all the same: each question must notice that nothing is written."""
    outcomes = []
    for question in grader.homework.questions:
        own = {name: starters[name] for name in question.regions}
        package = grader.builder.package(dict(grader.references) | own)
        outcomes.append(grader.run(question, package, {}))
    return outcomes


def _alone(
    grader: Grader, question: Question, starters: dict[str, str], report: Callable[[str], None]
) -> tuple[int, int | None]:
    """Points with only this question's regions handed in; and with all others at the starter."""
    report(f"alone: {question.id}")
    own = {name: grader.references[name] for name in question.regions}
    (outcome,) = grader.grade(Submission(starters | own), [question])
    if question.needs:
        return outcome.points, None
    package = grader.builder.package(dict(grader.references) | starters | own)
    return outcome.points, grader.run(question, package, {}).points


def _lost(grader: Grader, mutant: Mutant, report: Callable[[str], None]) -> int:
    """The points that a mutant loses on its question, with the reference of everything else."""
    report(f"mutant: {mutant.name}")
    own = {name: grader.references[name] for name in mutant.question.regions}
    own[mutant.region] = mutant.body
    (outcome,) = grader.grade(Submission(own), [mutant.question])
    if outcome.verdict in {"IE", "CE"}:  # what does not compile proves nothing
        raise CourseError(f"mutant {mutant.name}: {outcome.message}", status=1)
    return mutant.question.points - outcome.points


def _points(outcomes: list[Outcome]) -> int:
    for outcome in outcomes:
        if outcome.verdict == "IE":
            raise CourseError(f"{outcome.question.id}: {outcome.message}", status=1)
    return sum(outcome.points for outcome in outcomes)
