"""The suites, their order, and the last line."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from ..bootstrap.build import SANITIZE_OPTIONS, build
from ..bootstrap.steps import SetupError
from ..errors import CourseError
from ..homework.regions import scan
from ..paths import RELEASE, ROOT, SANITIZE
from . import homework_suite
from .doctest_suite import run_doctest
from .lint import run_lint
from .portability import run_portability
from .process import stream
from .pytest_suite import run_pytest
from .recorder import Counts, Recorder

LAYERS = "tests/python/test_layers.py"
FUZZ_INPUTS = 10000
FUZZ_SECONDS = 900
SANITIZED = ["tests/conformance", "tests/unit", "tests/fuzz_checkpoint"]
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


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
    """The C++ tests again with AddressSanitizer and UndefinedBehaviorSanitizer, and the fuzzer.

    Of the cpu backend only what this machine would choose: sanitizers triple the time to compile.
    """
    import needle  # not at the top: it may just have been built

    options = [*SANITIZE_OPTIONS, f"-Disas={needle.cpu.isa()}"]
    try:
        build(SANITIZE, options, SANITIZED)
    except SetupError as error:
        recorder.failed("build", str(error))
        return
    env = dict(os.environ) | SANITIZER_ENVIRONMENT
    # All at once: each has one thread most of the time, and they take turns on two processors.
    with ThreadPoolExecutor(3) as pool:
        running = [
            pool.submit(run_doctest, recorder, [SANITIZE / "tests/conformance"], pattern, env),
            pool.submit(run_doctest, recorder, [SANITIZE / "tests/unit"], pattern, env),
        ]
        if not pattern:
            running.append(pool.submit(_fuzz, recorder, env))
        for done in running:
            done.result()


def _fuzz(recorder: Recorder, env: dict[str, str]) -> None:
    """Arbitrary bytes into the loaders of a checkpoint; its last lines are shown if it fails."""
    recorder.now("fuzz_checkpoint")
    said: list[str] = []
    program = SANITIZE / "tests/fuzz_checkpoint"
    fault = stream([program, str(FUZZ_INPUTS)], said.append, FUZZ_SECONDS, env)
    if fault:
        recorder.failed("fuzz_checkpoint", "\n".join([*said[-30:], fault]))
    else:
        recorder.passed()


def portability(recorder: Recorder, pattern: str | None) -> None:
    """The conformance suite on every instruction set, on other processors too."""
    run_portability(recorder, pattern)


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
}
# Suites whose tests have names, which a pattern can choose from. (Those of the last two do too, but
# they are the same, and take minutes to compile.)
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
