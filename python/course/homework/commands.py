"""What the homework commands of ./course do; their options are in homework_commands.py."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from .. import state
from ..errors import CourseError
from ..paths import ROOT, shown
from . import bodies, gpu, prove, regions, report, sanitize, spec, submission
from .build import Builder
from .grade import Grader, Submission, record
from .oracle import Oracle
from .release import release, uncommitted


def run_release(console: Console, homework: str, out: Path, without_solutions: str) -> None:
    """./course release"""
    closed = without_solutions.replace(",", " ").split()
    opened = release(ROOT, homework, out, closed)
    if uncommitted(ROOT):
        report.say(console, ["Changes that are not committed are not in it."])
    for name in closed:
        how = f"./course use {name} {name}-submission.zip"
        report.say(console, [f"Students bring the regions of {name} that they wrote: {how}"])
    report.say(console, [f"{out}: the student edition of {homework}, {len(opened)} open regions."])


def run_use(console: Console, what: str, whose: str) -> None:
    """./course use"""
    if whose.endswith(".zip"):
        homework = spec.load(ROOT, what.partition(".")[0])
        received = submission.read(Path(whose), homework, regions.scan(ROOT))
        report.say(console, bodies.bring(ROOT, what, received.submission.bodies))
    else:
        report.say(console, bodies.use(ROOT, what, whose))
    report.say(console, ["./course build compiles the library with them."])


def run_unlock(console: Console, name: str) -> None:
    """./course unlock"""
    homework = spec.load(ROOT, name)
    if bodies.is_release(ROOT):
        raise CourseError(f"This is a student edition: what it holds of {name} is open already.")
    checked = checked_lessons()
    ready = [part for part in homework.parts if part.lesson in checked]
    locked = [part for part in homework.parts if part.lesson not in checked]
    for part in locked:
        how = f"./course check {part.lesson}"
        report.say(console, [f"Part {part.name} opens when all of {how} is right."])
    names = {part.name for part in ready}
    wanted = [r for q in homework.questions if q.part in names for r in q.regions]
    opened = bodies.open_regions(ROOT, wanted)
    for region in opened:
        report.say(console, [f"{region} is yours to write."])
    if not ready:
        raise CourseError(f"{name} stays locked: the checks of its lessons come first.", status=1)
    if opened:
        report.say(console, [f"The reference is kept; ./course use {name} reference puts it back."])
    else:
        report.say(console, ["Nothing was left to open."])


def checked_lessons() -> set[int]:
    """The numbers of the lessons whose checks are all right."""
    lessons = state.load().get("lessons", {})
    return {int(key) for key, entry in lessons.items() if entry.get("checked")}


def run_grade(
    console: Console,
    name: str,
    question: str | None,
    sanitized: bool,
    seed: int | None,
    json_file: Path | None,
    zip_file: Path | None,
) -> int:
    """./course grade; status 1 if a point is missing."""
    homework = spec.load(ROOT, name)
    chosen = [homework.question(question)] if question else list(homework.questions)
    with _progress(console) as now:
        now("looking at what is built")
        made = gpu.folder() if homework.simulated else None
        builder = Builder(simulator=homework.simulated, gpu=made)
        _check_regions(homework, builder)
        handed_in = _submission(console, homework, builder, zip_file)
        secret = int.from_bytes(os.urandom(8)) if seed is None else seed
        oracle = Oracle(homework.folder, seed or 0, secret)
        references = bodies.reference(ROOT, builder.regions)
        complete = all(region in references for region in homework.regions)
        grader = Grader(builder, homework, oracle, references if complete else {}, report=now)
        outcomes = grader.grade(handed_in, chosen)
        findings = []
        if sanitized:
            for outcome in outcomes:
                if outcome.verdict not in {"", "CE", "IE"} and (
                    question or outcome.verdict != "OK"
                ):
                    now(f"{outcome.question.id} with sanitizers")
                    findings += sanitize.examine(grader, handed_in, outcome)
    if question and outcomes[0].printed.strip():
        report.say(console, ["It printed:", outcomes[0].printed.strip()[:2000]])
    report.say(console, findings)
    report.show(console, grader, outcomes)
    result = record(outcomes, grader, version()) | {"seed": seed}
    if json_file:
        _write_json(json_file, result)
    if not question and not zip_file:
        entry = {"points": result["points"], "of": result["of"], "date": state.today()}
        state.record("homeworks", name, entry)
    if any(outcome.verdict == "IE" for outcome in outcomes):
        return 3
    return 0 if result["points"] == result["of"] else 1


def run_submit(console: Console, name: str, out: Path | None) -> None:
    """./course submit"""
    homework = spec.load(ROOT, name)
    path = out or ROOT / f"{name}-submission.zip"
    starters = submission.write(ROOT, homework, path, version())
    if starters:
        report.say(console, [f"Not written yet: {', '.join(starters)}."])
    report.say(console, [f"{shown(path)}: {len(homework.regions)} regions of {name}."])


def run_prove(console: Console, name: str, json_file: Path | None) -> int:
    """./course prove; status 1 if the homework does not hold what it must."""
    homework = spec.load(ROOT, name)
    with _progress(console) as now:
        proof = proof_of(homework, now)
    if json_file:
        _write_json(json_file, proof.record())
    killed = sum(1 for mutant in proof.mutants if mutant["lost"])
    report.say(
        console,
        [
            *proof.faults,
            f"reference {proof.reference}/{homework.points}, starter {proof.starter}, "
            f"{killed} of {len(proof.mutants)} mutants lose points, "
            f"{len(proof.alone)} regions alone, {len(proof.independent)} independent",
        ],
    )
    return 1 if proof.faults else 0


def proof_of(homework: spec.Homework, now: Callable[[str], None]) -> prove.Proof:
    """Proves a homework of this tree; `now` is told what is being done."""
    builder = Builder(simulator=homework.simulated)
    _check_regions(homework, builder)
    references = bodies.reference(ROOT, builder.regions)
    grader = Grader(builder, homework, Oracle(homework.folder, 0), references)
    return prove.prove(grader, now)


def version() -> str:
    """The version of needle, read from its text: the package may not be built."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    line = next((line for line in text.splitlines() if line.startswith("version")), "")
    return line.partition("=")[2].strip(' "')


def _submission(
    console: Console, homework: spec.Homework, builder: Builder, zip_file: Path | None
) -> Submission:
    """What is graded: the tree, or a zip."""
    if zip_file is None:
        return Submission({name: builder.regions[name].body for name in homework.regions})
    received = submission.read(zip_file, homework, builder.regions)
    for entry in received.ignored:
        report.say(console, [f"Ignored: {entry}"])
    for flag in received.flags:
        report.say(console, [f"FLAG: {flag}"])
    return received.submission


def _check_regions(homework: spec.Homework, builder: Builder) -> None:
    missing = [name for name in homework.regions if name not in builder.regions]
    if missing:
        raise CourseError(
            f"There is no line BEGIN SOLUTION {missing[0]} in the tree; put it back in its place "
            f"(homework/{homework.name}/README.md names the files)."
        )


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """A live line in a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("…") as status:
        yield lambda what: status.update(what)


def _write_json(path: Path, value: object) -> None:
    try:
        path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}.") from None
