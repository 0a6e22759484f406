"""Ctrl-C and SIGTERM while training: finish the step, save, stop. A second one stops at once."""

import signal
from types import FrameType
from typing import Self

INTERRUPTED = 130  # exit status of a run that was interrupted and saved


class Interrupt:
    """Context manager; `requested` becomes True at the first signal."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
