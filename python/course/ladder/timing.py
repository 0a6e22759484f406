"""Times several functions in turns, so that what else the machine does hits all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

TURNS = 9
LEAST = 0.002  # a measurement is no shorter: fast functions run several times in it
SHARE = 4.0  # seconds that one function may take in all


@dataclass(frozen=True)
class Timing:
    """The median time of one call, and in how many turns it was measured."""

    seconds: float
    turns: int


def in_turns(
    calls: dict[str, Callable[[], object]],
    turns: int = TURNS,
    finish: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Times each function once in every turn; slow ones, in fewer turns.

    A first call of each does not count, unless it alone took half of what a function may take.
    `finish` waits for what calls have only begun, as those of a GPU do.
    """
    measured: dict[str, list[float]] = {}
    repeats: dict[str, int] = {}
    planned: dict[str, int] = {}
    for name, call in calls.items():
        first = _seconds(call, 1, finish)
        measured[name] = [first] if first > SHARE / 2 else []
        repeats[name] = max(1, round(LEAST / max(first, 1e-7)))
        planned[name] = 0 if measured[name] else min(turns, max(1, int(SHARE / first)))
    for turn in range(turns):
        for name, call in calls.items():
            if turn < planned[name]:
                measured[name].append(_seconds(call, repeats[name], finish))
    return {name: Timing(statistics.median(times), len(times)) for name, times in measured.items()}


def _seconds(call: Callable[[], object], repeats: int, finish: Callable[[], object]) -> float:
    finish()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    finish()
    return (time.perf_counter() - start) / repeats
