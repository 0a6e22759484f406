"""What a person reads of grading: the table, the first failure of each question, the total."""

import re
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..paths import ROOT
from . import sandbox
from .grade import Grader, Outcome
from .oracle import brief

STYLES = {"OK": "green", "IE": "magenta", "": "dim"}
MEANING = {
    "OK": "right",
    "WA": "wrong answer",
    "CE": "does not compile",
    "RTE": "stopped with an error",
    "TLE": "takes too long",
    "MLE": "wants too much memory",
    "OLE": "prints too much",
    "PROTO": "gave no proper answer",
    "IE": "fault of the grader, not counted",
    "": "not written yet",
}

UNWRITTEN = re.compile(r"\b((hw\d+)\.\w+) is not written yet")


def plain(text: str) -> str:
    """Text of a student's process without what would steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def show(console: Console, grader: Grader, outcomes: list[Outcome]) -> None:
    """The whole result; the total is the last line."""
    homework, oracle = grader.homework, grader.oracle
    table = Table(
        "part", "question", "points", "verdict", title=f"{homework.name}: {homework.title}"
    )
    for outcome in outcomes:
        question = outcome.question
        style = STYLES.get(outcome.verdict, "red")
        words = f"{outcome.verdict} {MEANING[outcome.verdict]}".strip()
        points = "-" if outcome.verdict == "IE" else str(outcome.points)
        verdict = Text(words, style=style)
        table.add_row(question.part, question.id, f"{points}/{question.points}", verdict)
    console.print(table)
    for outcome in outcomes:
        if outcome.verdict not in {"OK", ""}:
            say(console, failure(outcome))
    waiting = [o for o in outcomes if not o.verdict and o.message.startswith("waits")]
    for outcome in waiting:
        say(console, [f"{outcome.question.id} {outcome.message}"])
    hidden = "and hidden cases" if oracle.has_hidden else "only; hidden cases are not run here"
    devices = f" Kernels of CUDA ran on: {', '.join(grader.devices)}." if grader.devices else ""
    say(console, [f"Public cases {hidden}. Isolation: {sandbox.isolation()}.{devices}"])
    if grader.builder.has_gpu and grader.no_gpu:
        say(console, [f"The GPU could not be used: {grader.no_gpu}"])
    total = sum(outcome.question.points for outcome in outcomes)
    say(console, [f"Total: {sum(outcome.points for outcome in outcomes)}/{total}"])


def failure(outcome: Outcome) -> list[str]:
    """One failed question: where, the smallest failing input, expected against got."""
    place = f" ({outcome.place})" if outcome.place else ""
    message = outcome.message.replace(f"{ROOT}/", "")
    lines = [f"{outcome.question.id}: {outcome.verdict}: {message}{place}"]
    case = outcome.case
    if case and case.hidden:
        lines.append("    in a hidden case")
    elif case:
        lines.append(f"    input     {brief(case.args)}")
        if outcome.difference:
            if outcome.difference.expected:
                lines.append(f"    expected  {outcome.difference.expected}")
            lines.append(f"    got       {outcome.difference.got}")
    missing = UNWRITTEN.search(outcome.message)
    if missing and not outcome.question.regions[0].startswith(f"{missing[2]}."):
        lines.append(
            f"    {missing[1]} is of another homework. What you handed in there can stand here: "
            f"./course use {missing[2]} {missing[2]}-submission.zip"
        )
    return lines


def say(console: Console, lines: Iterable[str]) -> None:
    """Lines as they are."""
    for line in lines:
        console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
