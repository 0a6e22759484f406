"""The suites, their order, and the last line."""

import os
from collections import Counter
from collections.abc import Callable

from rich.console import Console

from ..errors import CourseError
from ..homework.regions import scan
from ..paths import RELEASE, ROOT
from . import homework_suite
from .cuda_suite import run_cuda
from .doctest_suite import run_doctest
from .lint import run_lint
from .portability import run_portability
from .pytest_suite import run_pytest
from .recorder import Counts, Recorder
from .sanitize import run_sanitize

LAYERS = "tests/python/test_layers.py"


def layers(recorder: Recorder, pattern: str | None) -> None:
    """Which folder includes which."""
    run_pytest(recorder, [LAYERS], pattern)


def unit(recorder: Recorder, pattern: str | None) -> None:
    """C++ unit tests."""
    run_doctest(recorder, [RELEASE / "tests" / "unit"], pattern)


def conformance(recorder: Recorder, pattern: str | None) -> None:
    """Every kernel of every backend against the reference."""
    run_doctest(recorder, [RELEASE / "tests" / "conformance"], pattern)


def sim(recorder: Recorder, pattern: str | None) -> None:
    """CUDA kernels in the simulator."""
    run_doctest(recorder, [RELEASE / "tests" / "sim"], pattern)


def python(recorder: Recorder, pattern: str | None) -> None:
    """The library from Python."""
    run_pytest(recorder, ["tests/python", f"--ignore={LAYERS}"], pattern, workers=_processors())


def e2e(recorder: Recorder, pattern: str | None) -> None:
    """Whole programs."""
    run_pytest(recorder, ["tests/e2e"], pattern, workers=_processors())


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def homework(recorder: Recorder, _pattern: str | None) -> None:
    """Every homework proves itself."""
    homework_suite.run_homework(recorder)


def lint(recorder: Recorder, _pattern: str | None) -> None:
    """Layout and style."""
    run_lint(recorder)


def sanitize(recorder: Recorder, pattern: str | None) -> None:
    """The C++ tests again with the compiler's sanitizers, and a fuzzer."""
    run_sanitize(recorder, pattern)


def portability(recorder: Recorder, pattern: str | None) -> None:
    """The conformance suite on every instruction set, on other processors too."""
    run_portability(recorder, pattern)


def cuda(recorder: Recorder, pattern: str | None) -> None:
    """CUDA kernels compiled by nvcc."""
    run_cuda(recorder, pattern)


SUITES: dict[str, Callable[[Recorder, str | None], None]] = {
    "layers": layers,
    "unit": unit,
    "conformance": conformance,
    "sim": sim,
    "python": python,
    "e2e": e2e,
    "homework": homework,
    "lint": lint,
    "sanitize": sanitize,
    "portability": portability,
    "cuda": cuda,
}
# Suites whose tests have names, which a pattern can choose from. (Those of the last three do too,
# but take minutes to compile.)
WITH_NAMES = ["layers", "unit", "conformance", "sim", "python", "e2e"]


def run_suites(console: Console, names: list[str], pattern: str | None) -> int:
    """Runs the named suites, or all, in order; exit status 0 if nothing failed."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        raise CourseError(f"There is no suite {unknown[0]!r}. The suites are: {' '.join(SUITES)}.")
    everything = [name for name in SUITES if name != "homework" or homework_suite.is_here()]
    chosen = names or (WITH_NAMES if pattern else everything)
    strict = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    total = Counts()
    waiting: Counter[str] = Counter()
    if unwritten := [name for name, region in scan(ROOT).items() if region.is_starter]:
        console.print(
            f"{len(unwritten)} homework regions are not written yet: tests that need them fail "
            "until they are. ./course grade tests one homework.",
            highlight=False,
        )
    for name in dict.fromkeys(chosen):
        with Recorder(console, name, strict) as recorder:
            SUITES[name](recorder, pattern)
        total += recorder.close(may_be_empty=pattern is not None)
        waiting += recorder.waiting
    if total.total == 0:
        console.print(f"No test has {pattern!r} in its name.", highlight=False)
        total += Counts(failed=1)
    if waiting:
        regions = ", ".join(f"{name} ({count})" for name, count in waiting.most_common())
        console.print(f"Failures that wait for a region: {regions}", highlight=False)
    console.print(str(total), highlight=False)
    return 1 if total.failed else 0
