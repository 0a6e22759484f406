"""Runs a doctest program: shows what it says of failures, takes the counts from its last lines."""

import re
from pathlib import Path

from ..paths import shown
from .process import stream
from .recorder import Recorder

SUMMARY = re.compile(
    r"^\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed \|\s*(\d+) skipped"
)
SECONDS = 900


def run_doctest(
    recorder: Recorder, program: Path, pattern: str | None, env: dict[str, str] | None = None
) -> None:
    """Runs all test cases of the program, or those whose names contain the pattern."""
    if not program.exists():
        recorder.failed(f"{shown(program)} is not built")
        return
    found: list[tuple[int, int, int]] = []

    def on_line(line: str) -> None:
        if match := SUMMARY.match(line):
            found.append(tuple(int(number) for number in match.groups()))
        elif line.startswith("[doctest]"):
            return
        elif line.strip("= "):
            recorder.say(line)

    recorder.now(program.name)
    # In a name filter of doctest, "," separates filters and "*" stands for anything.
    wanted = [f"--test-case=*{pattern.replace(',', '?')}*"] if pattern else []
    fault = stream([program, "--no-colors=true", *wanted], on_line, SECONDS, env)
    if not found:
        recorder.failed(program.name, f"ended before its summary: {fault or 'exit status 0'}")
        return
    passed, failed, skipped = found[-1]
    recorder.passed(passed)
    if failed:
        recorder.failed(f"{program.name}, shown above", count=failed)
    elif fault and not (pattern and not passed):
        # With a pattern, the program's main rightly complains if nothing matched.
        recorder.failed(program.name, f"all test cases passed, but {fault}")
    if not pattern:
        # With a pattern, doctest counts what the pattern leaves out as skipped.
        for _ in range(skipped):
            recorder.skipped(program.name, "a test case that is marked as skipped")
