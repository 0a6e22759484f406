"""The C++ tests again, compiled to find what ordinary runs forgive; and arbitrary bytes."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..bootstrap.build import SANITIZE_OPTIONS, THREADS_OPTIONS, build
from ..bootstrap.steps import SetupError
from ..paths import SANITIZE, THREADS
from .doctest_suite import run_doctest
from .process import stream
from .recorder import Recorder

FUZZ_INPUTS = 10000
FUZZ_SECONDS = 900
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
# ThreadSanitizer needs its own part of the address space, which a randomised one may have taken.
FIXED_ADDRESSES = ["setarch", "-R"]


def run_sanitize(recorder: Recorder, pattern: str | None) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer on all, ThreadSanitizer on what has threads.

    Of the cpu backend only what this machine would choose: sanitizers triple the time to compile.
    """
    programs = ["tests/conformance", "tests/unit", "tests/fuzz_checkpoint"]
    tests: list[Sequence[str | Path]] = []
    if _built(recorder, SANITIZE, SANITIZE_OPTIONS, programs):
        tests += [[SANITIZE / name] for name in programs[:2]]
    if _built(recorder, THREADS, THREADS_OPTIONS, ["tests/threads"]):
        tests.append([*FIXED_ADDRESSES, THREADS / "tests/threads"])
    env = dict(os.environ) | ENVIRONMENT
    # All at once: each has one thread most of the time, and they take turns on two processors.
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(run_doctest, recorder, test, pattern, env) for test in tests]
        if tests and not pattern:
            running.append(pool.submit(_fuzz, recorder, env))
        for done in running:
            done.result()


def _built(recorder: Recorder, folder: Path, options: list[str], programs: list[str]) -> bool:
    import needle  # not at the top: it may just have been built

    try:
        build(folder, [*options, f"-Disas={needle.cpu.isa()}"], programs)
    except SetupError as error:
        recorder.failed(f"build of {folder.name}", str(error))
        return False
    return True


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
