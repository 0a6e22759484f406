"""Grades the regions of a homework, question by question.

The student's regions are built together first. Where the reference is at hand, a question that
fails is tried again alone, on the reference of everything else; the better outcome counts. So an
error in one region costs its own question and no other.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import gpu, pace, regions, sandbox
from .build import Builder, CompileError, Fault, Package
from .oracle import Case, Difference, Oracle, OracleError, brief
from .regions import Region
from .session import Ended, Raised, Session, open_box
from .spec import Homework, Question

JOBS = 2
STALE_ROUNDS = 2


@dataclass(frozen=True)
class Outcome:
    """What a question got, and one sentence why. verdict "" means: not written yet, not run."""

    question: Question
    verdict: str
    points: int
    message: str = ""
    place: str = ""  # file:line, or the region
    case: Case | None = None
    difference: Difference | None = None
    printed: str = ""
    cases: int = 0


@dataclass
class Submission:
    """The bodies to grade, and where they were read if that is not the tree."""

    bodies: dict[str, str]
    places: dict[str, str] = field(default_factory=dict)


class Grader:
    """Grades submissions of one homework in one tree."""

    def __init__(
        self,
        builder: Builder,
        homework: Homework,
        oracle: Oracle,
        references: Mapping[str, str],
        driver: Path | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.builder = builder
        self.homework = homework
        self.oracle = oracle
        self.references = references
        self.driver = driver or homework.folder / "driver.py"
        self.no_gpu = "" if builder.has_gpu else "there is none"  # why nothing runs on a GPU
        self._report = report

    @property
    def devices(self) -> list[str]:
        """On which devices kernels of CUDA run, if the homework has such."""
        if not self.homework.simulated:
            return []
        return [gpu.SIMULATED] if self.no_gpu else [gpu.SIMULATED, gpu.DEVICE]

    def grade(self, submission: Submission, chosen: Iterable[Question]) -> list[Outcome]:
        """An outcome for each of the chosen questions, in their order."""
        questions = list(chosen)
        done: dict[str, Outcome] = {}
        for question in questions:
            if outcome := self._not_ready(question, submission):
                done[question.id] = outcome
        written = {
            name for question in questions if question.id not in done for name in question.regions
        }
        pending = [question for question in questions if question.id not in done]
        if not self.references:  # then the questions stand on the student's other regions
            written |= {n for n in self.homework.regions if self._is_written(n, submission)}
        culprits: dict[str, str] = {}
        if self.builder.has_gpu:
            package = self.builder.package(self._bodies(submission, set()))
            self.no_gpu = gpu.fault(package, self.driver)
        self._round(submission, written, culprits, pending, done)
        if self.references:
            self._alone(submission, written, culprits, pending, done)
        return [done[question.id] for question in questions]

    # --- the rounds ---

    def _round(
        self,
        submission: Submission,
        written: set[str],
        broken: dict[str, str],
        pending: list[Question],
        done: dict[str, Outcome],
    ) -> None:
        """Builds with these regions of the student's, and asks the pending questions."""
        if not pending:
            return
        self._report("compiling")
        package = self.build(submission, written, broken)

        def ask(question: Question) -> Outcome:
            faults = [broken[name] for name in question.regions if name in broken]
            if faults:
                return Outcome(question, "CE", 0, faults[0])
            self._report(question.id)
            return self.run(question, package, submission.places)

        with ThreadPoolExecutor(JOBS) as pool:
            for outcome in pool.map(ask, pending):
                old = done.get(outcome.question.id)
                if old is None or outcome.points > old.points:
                    done[outcome.question.id] = outcome

    def _alone(
        self,
        submission: Submission,
        written: set[str],
        broken: dict[str, str],
        questions: list[Question],
        done: dict[str, Outcome],
    ) -> None:
        """Second chances: each failed question on the reference of all others."""
        good = set(written)
        stale = 0
        pending = self._failed(questions, done)
        while pending:
            question = pending.pop(0)
            own = set(question.regions)
            others = good - own - set(broken)
            if any(submission.bodies[name] != self.references[name] for name in others):
                before = done.pop(question.id)
                self._round(submission, own, dict(broken), [question], done)
                if before.points > done[question.id].points:
                    done[question.id] = before
                if done[question.id].points == question.points:
                    continue
            good -= own
            if pending and stale < STALE_ROUNDS:
                # Perhaps this region alone made the others fail.
                count = len(pending)
                self._round(submission, good, dict(broken), pending, done)
                pending = self._failed(pending, done)
                stale = 0 if len(pending) < count else stale + 1

    def _failed(self, questions: list[Question], done: dict[str, Outcome]) -> list[Question]:
        return [
            question
            for question in questions
            if done[question.id].points < question.points
            and done[question.id].verdict not in {"CE", "IE", ""}
        ]

    def _is_written(self, name: str, submission: Submission) -> bool:
        region = self.builder.regions[name]
        body = submission.bodies.get(name)
        return body is not None and not regions.is_starter(body, name, region.suffix)

    def _not_ready(self, question: Question, submission: Submission) -> Outcome | None:
        """A question whose regions are not written is not run."""
        missing = [name for name in question.regions if not self._is_written(name, submission)]
        if missing:
            return Outcome(question, "", 0, f"{', '.join(missing)}: not written yet")
        waits = [
            name
            for name in question.needs
            if name not in self.references and not self._is_written(name, submission)
        ]
        if waits:
            return Outcome(question, "", 0, f"waits for {', '.join(waits)}: not written yet")
        return None

    # --- building ---

    def build(
        self,
        submission: Submission,
        written: Iterable[str],
        broken: dict[str, str],
        sanitized: Iterable[str] = (),
    ) -> Package:
        """The package with these regions of the student's and the fallback for the rest.

        Regions that do not compile are added to `broken`, each with a sentence.
        """
        own = {name for name in written if name not in broken}
        while True:
            try:
                places = {n: p for n, p in submission.places.items() if n in own}
                return self.builder.package(self._bodies(submission, own), places, sanitized)
            except CompileError as error:
                # Of a file that is compiled for several instruction sets, one fault says enough.
                for fault in {fault.path: fault for fault in error.faults}.values():
                    for name in self._culprits(fault, submission, own):
                        broken[name] = self._sentence(fault)
                        own.discard(name)

    def _bodies(self, submission: Submission, own: set[str]) -> dict[str, str]:
        bodies = {}
        for name, region in self.builder.regions.items():
            if name in own:
                bodies[name] = submission.bodies[name]
            elif name in self.references:
                bodies[name] = self.references[name]
            elif name in self.homework.regions:
                written = self._is_written(name, submission) and name not in own
                bodies[name] = (
                    region.starter if written else submission.bodies.get(name, region.starter)
                )
            else:
                bodies[name] = region.body
        return bodies

    def _culprits(self, fault: Fault, submission: Submission, own: set[str]) -> list[str]:
        """Which of the student's regions in a file keeps it from compiling."""
        inside = [
            r for r in self.builder.regions.values() if r.path == fault.path and r.name in own
        ]
        if not inside:
            text = self._sentence(fault)
            raise regions.RegionError(f"A file does not compile outside of the regions. {text}")
        for region in inside:
            if self._covers(region, fault, submission):
                return [region.name]
        if len(inside) == 1:
            return [inside[0].name]
        guilty = []
        for region in inside:
            try:
                self.builder.package(self._bodies(submission, {region.name}))
            except CompileError as error:
                if any(other.path == fault.path for other in error.faults):
                    guilty.append(region.name)
        return guilty or [region.name for region in inside]

    def _covers(self, region: Region, fault: Fault, submission: Submission) -> bool:
        count = submission.bodies[region.name].count("\n")
        if region.name in submission.places:
            return fault.file == submission.places[region.name]
        home = str(self.builder.root / region.path)
        return fault.file == home and region.line <= fault.line < region.line + count

    def _sentence(self, fault: Fault) -> str:
        """file:line: error, with the path as in the tree."""
        file = fault.file.removeprefix(f"{self.builder.root}/")
        if Path(file).is_absolute() or file.startswith("build/"):
            file = fault.path  # a copy, or a header of the system
        return f"{file}:{fault.line}: {fault.text}" if fault.line else f"{file}: {fault.text}"

    # --- running ---

    def run(self, question: Question, package: Package, places: Mapping[str, str]) -> Outcome:
        """All cases of a question in a fresh process; ends at the first failure.

        With `partial`, the failure ends its group only; after a crash the others go on in a new
        process, and the points are the share of groups without one.
        """
        failures: dict[str, Outcome | None] = {}
        printed: list[str] = []
        counted = 0
        go_on = True
        try:
            cases = iter(self.oracle.cases(question.id))
            while go_on:
                go_on = False
                with open_box(package.folder, self.driver, question.seconds) as box:
                    for case in cases:
                        if failures.get(case.group):
                            continue
                        counted += 1
                        failure = failures[case.group] = self._ask(question, case, box, package)
                        if failure and not (question.partial and failure.verdict == "WA"):
                            go_on = question.partial
                            break
                    printed.append(bytes(box.output).decode(errors="replace"))
        except Ended as ended:
            return Outcome(question, ended.verdict, 0, str(ended))
        except OracleError as error:
            return Outcome(question, "IE", 0, str(error))
        said = "".join(printed)
        again = [] if self.no_gpu or failures.get(gpu.GROUP) else gpu.cases(question, self.oracle)
        if again:
            counted += len(again)
            failures[gpu.GROUP] = self._on_gpu(question, again, package)
        if not counted:
            return Outcome(question, "IE", 0, f"oracle.py makes no case for {question.id}")
        if question.pace and pace.GROUP in failures and failures[pace.GROUP] is None:
            failures[pace.GROUP] = self._timed(question, package)
        wrong = {group: failure for group, failure in failures.items() if failure}
        if not wrong:
            return Outcome(question, "OK", question.points, cases=counted, printed=said)
        group, first = next(iter(wrong.items()))
        points, message = 0, first.message
        if question.partial:
            points = question.points * (len(failures) - len(wrong)) // len(failures)
            others = ", ".join([*wrong][1:])
            message = f"{group}: {message}" + (f" (cases of {others} fail, too)" if others else "")
        place = first.place or self._place(question, places)
        return replace(
            first, points=points, message=message, place=place, printed=said, cases=counted
        )

    def _on_gpu(self, question: Question, cases: list[Case], package: Package) -> Outcome | None:
        """The first failure of these cases in a box that may use the GPU."""
        failure: Outcome | None = None
        try:
            with open_box(
                package.folder, self.driver, gpu.SECONDS + question.seconds, gpu=True
            ) as box:
                asked = (self._ask(question, case, box, package) for case in cases)
                failure = next((outcome for outcome in asked if outcome), None)
        except Ended as ended:
            failure = Outcome(question, ended.verdict, 0, str(ended))
        return failure and replace(failure, message=f"on device {gpu.DEVICE}: {failure.message}")

    def _timed(self, question: Question, package: Package) -> Outcome | None:
        """None if the cases whose time counts are fast enough."""
        try:
            case, text = pace.fault(question, package, self.driver, self.oracle)
        except Ended as ended:
            return Outcome(question, ended.verdict, 0, str(ended))
        return Outcome(question, "WA", 0, text, "", case) if text else None

    def _ask(
        self, question: Question, case: Case, box: Session, package: Package
    ) -> Outcome | None:
        try:
            got = box.ask(question.id, case.args, case.expected_bytes)
        except Ended as ended:
            if case.error and isinstance(ended, Raised):
                if ended.kind == case.error:
                    return None
                text = f"an exception is expected, {case.error}, but another was raised"
                difference = Difference(text, case.error, str(ended))
                return Outcome(question, "WA", 0, text, "", case, difference)
            place = ""
            if ended.where and ended.where[0] in package.sources:
                file, line = ended.where
                place = f"{file}:{package.sources[file].home_line(line)}"
            return Outcome(question, ended.verdict, 0, str(ended), place, case)
        difference = self.oracle.difference(question.id, case, got)
        if difference is None:
            return None
        return Outcome(question, "WA", 0, difference.text, "", case, difference)

    def _place(self, question: Question, places: Mapping[str, str]) -> str:
        name = question.regions[0]
        region = self.builder.regions[name]
        return places.get(name, f"{region.path}:{region.line}")


def record(outcomes: list[Outcome], grader: Grader, version: str) -> dict[str, Any]:
    """The result as JSON. Values of hidden cases are not in it."""
    homework, oracle = grader.homework, grader.oracle
    return {
        "schema": "needle/result/v1",
        "homework": homework.name,
        "needle": version,
        "isolation": sandbox.isolation(),
        "devices": grader.devices,
        "hidden": oracle.has_hidden,
        "points": sum(outcome.points for outcome in outcomes),
        "of": sum(outcome.question.points for outcome in outcomes),
        "questions": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    question, case = outcome.question, outcome.case
    entry: dict[str, Any] = {
        "id": question.id,
        "part": question.part,
        "regions": list(question.regions),
        "verdict": outcome.verdict or "not written",
        "points": outcome.points,
        "of": question.points,
        "cases": outcome.cases,
        "message": outcome.message,
        "place": outcome.place,
    }
    if case:
        entry["case"] = "hidden" if case.hidden else "public"
        if not case.hidden:
            entry["input"] = brief(case.args)
    if outcome.difference and case and not case.hidden:
        entry["expected"] = outcome.difference.expected
        entry["got"] = outcome.difference.got
    return entry
