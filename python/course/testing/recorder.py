"""Counts the tests of a suite, shows failures as they come, and writes the closing lines."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from threading import RLock

from rich.console import Console
from rich.status import Status

# What a homework's region says until it is written.
UNWRITTEN = re.compile(r"(hw\d+\.\w+) is not written yet")
# What a machine may lack and still pass in continuous integration.
LACKING = re.compile(r"\b(gpu|cuda|nvidia|this CPU does not have)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.skipped


class Recorder:
    """Takes the outcome of every test of one suite, from any thread. Use as a context manager.

    `strict`: a skip is a failure unless its reason is a missing GPU, or an instruction set that the
    CPU lacks (continuous integration).
    """

    def __init__(self, console: Console, suite: str, strict: bool) -> None:
        self.console = console
        self.suite = suite
        self.counts = Counts()
        self.waiting: Counter[str] = Counter()  # failures by the region they wait for
        self._strict = strict
        self._began = time.monotonic()
        self._status: Status | None = None
        self._lock = RLock()

    def __enter__(self) -> "Recorder":
        if self.console.is_terminal:
            self._status = self.console.status(f"{self.suite} …")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def passed(self, count: int = 1) -> None:
        """Tests that are fine."""
        with self._lock:
            self.counts += Counts(passed=count)

    def failed(self, name: str, detail: str = "", count: int = 1) -> None:
        """A test that is not; says so at once."""
        with self._lock:
            self.counts += Counts(failed=count)
            self.say(f"FAILED {self.suite}: {name}")
            if match := UNWRITTEN.search(detail):
                self.waiting[match[1]] += count
                detail = match[0]
            if detail:
                self.say("\n".join("    " + line for line in detail.rstrip().splitlines()))

    def skipped(self, name: str, reason: str) -> None:
        """A test that did not run."""
        if self._strict and not LACKING.search(reason):
            self.failed(name, f"skipped, but only for want of hardware may it be: {reason}")
        else:
            with self._lock:
                self.counts += Counts(skipped=1)
                self.say(f"skipped {self.suite}: {name}: {reason}")

    def now(self, what: str) -> None:
        """What is being done, for the live line of a terminal."""
        if self._status:
            self._status.update(f"{self.suite}: {self.counts.total} done, {what}", speed=1)

    def say(self, text: str) -> None:
        """Text as it is, above the live line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self, may_be_empty: bool = False) -> Counts:
        """Prints the suite's closing line; a suite in which nothing ran has failed."""
        if self.counts.total == 0 and not may_be_empty:
            self.failed("no test ran")
        self.say(f"{self.suite}: {self.counts} ({time.monotonic() - self._began:.1f} s)")
        return self.counts
