"""Runs a doctest program: shows what it says of failures, takes the counts from its last lines."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..paths import shown
from .process import stream
from .recorder import Recorder

SUMMARY = re.compile(
    r"^\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed \|\s*(\d+) skipped"
)
ISA = re.compile(r"^\[needle\] instruction set: (\w+)")
SECONDS = 900


def run_doctest(
    recorder: Recorder,
    command: Sequence[str | Path],
    pattern: str | None,
    env: dict[str, str] | None = None,
    name: str = "",
    isa: str = "",
) -> None:
    """Runs all test cases of the program, or those whose names contain the pattern.

    The program is the last word of the command; before it may stand what runs it. With `isa` it
    must say that the cpu backend runs on that instruction set. `name` is what it is called here.
    """
    program = Path(command[-1])
    name = name or program.name
    if not program.exists():
        recorder.failed(f"{shown(program)} is not built")
        return
    found: list[tuple[int, int, int]] = []
    used: list[str] = []

    def on_line(line: str) -> None:
        if match := SUMMARY.match(line):
            found.append(tuple(int(number) for number in match.groups()))
        elif match := ISA.match(line):
            used.append(match[1])
        elif not line.startswith("[doctest]") and line.strip("= "):
            recorder.say(line if name == program.name else f"{name}: {line}")

    recorder.now(name)
    # In a name filter of doctest, "," separates filters and "*" stands for anything.
    wanted = [f"--test-case=*{pattern.replace(',', '?')}*"] if pattern else []
    fault = stream([*command, "--no-colors=true", *wanted], on_line, SECONDS, env)
    if not found:
        recorder.failed(name, f"ended before its summary: {fault or 'exit status 0'}")
        return
    passed, failed, skipped = found[-1]
    recorder.passed(passed)
    if failed:
        recorder.failed(f"{name}, shown above", count=failed)
    elif fault and not (pattern and not passed):
        # With a pattern, the program's main rightly complains if nothing matched.
        recorder.failed(name, f"all test cases passed, but {fault}")
    if isa and used != [isa]:
        recorder.failed(name, f"ran on {' '.join(used) or 'nothing it named'}, not on {isa}")
    if not pattern:
        # With a pattern, doctest counts what the pattern leaves out as skipped.
        for _ in range(skipped):
            recorder.skipped(name, "a test case that is marked as skipped")
