"""What a person sees while a model trains: a live bar on a terminal, a few lines elsewhere."""

import time
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

SECONDS_BETWEEN_LINES = 15.0
WIDTH_OF_NUMBERS = 76


@dataclass(frozen=True)
class Status:
    """The numbers of one moment. Unknown ones are None."""

    step: int
    total: int | None
    loss: float
    bits_per_byte: float | None
    tokens_per_second: float
    seconds_left: float | None


class Display(Protocol):
    """Where training reports to."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def update(self, status: Status) -> None:
        """The numbers after a step."""

    def close(self) -> None:
        """The end; safe to call twice."""


def make_display(console: Console) -> Display:
    """The bar on a terminal, plain lines otherwise."""
    return Bar(console) if console.is_terminal else Lines(console)


def describe(status: Status) -> str:
    """Loss, held-out bits per byte, speed and time left in words."""
    parts = [f"loss {status.loss:.2f}"]
    if status.bits_per_byte is not None:
        parts.append(f"held-out {status.bits_per_byte:.3f} bits/byte")
    parts.append(f"{status.tokens_per_second:,.0f} tok/s")
    left = status.seconds_left
    if left is None:
        parts.append("measuring")
    else:
        parts.append(f"{int(left) // 60}:{int(left) % 60:02} left")
    return " ".join(parts)


class Bar:
    """A Rich progress bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("step {task.completed}/{task.fields[total_text]}"),
            # The numbers matter more than the bar.
            BarColumn(bar_width=max(4, min(24, console.width - WIDTH_OF_NUMBERS))),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(
            "", total=None, total_text="?", numbers="", start=False
        )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, highlight=False, markup=False)

    def update(self, status: Status) -> None:
        """Moves the bar."""
        if not self._progress.live.is_started:
            self._progress.start()
            self._progress.start_task(self._task)
        self._progress.update(
            self._task,
            total=status.total,
            completed=status.step,
            total_text=str(status.total or "?"),
            numbers=describe(status),
        )

    def close(self) -> None:
        """Removes the bar."""
        self._progress.stop()


class Lines:
    """One line every so many seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, status: Status) -> None:
        """A line, if the last one is some time ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self.say(f"step {status.step}/{status.total or '?'}  {describe(status)}")

    def close(self) -> None:
        """Nothing to remove."""
