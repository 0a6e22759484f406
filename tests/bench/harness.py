"""What all benchmarks share: turns, medians, the table, the JSON file.

A suite is a module with `rows() -> list[Row]`; run one with `python tests/bench/autograd.py [--json
FILE]`. needle and its peer take turns in one run, so that what else the machine does hits both; a
figure is the median of the turns, and the ratio is the median of the ratios of each turn.
"""

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

# Seconds after which the threads of OpenMP and of OpenBLAS sleep.
SETTLE = 0.05
ROOT = Path(__file__).resolve().parents[2]
UNSURE = 0.15
PATIENCE = 5
# What needle's cases, the peers and the limit cost.
Turn = tuple[list[float], list[float], float | None]


@dataclass(frozen=True)
class Row:
    """One comparison; ratio > 1 where needle is better."""

    suite: str
    case: str
    needle: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    # What needle reached of the machine's limit (multiply-adds, or copied bytes), measured in the
    # same run; None where the case has none.
    fraction_of_limit: float | None = None


def peer(module: str, install: str) -> ModuleType:
    """The module to compare with; a missing one is an error that says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise SystemExit(f"bench: {module} is missing; install it: {install}") from error


def compare(
    suite: str,
    cases: dict[str, Callable[[], float]],
    peers: dict[str, Callable[[], float]],
    *,
    unit: str = "ms",
    scale: float = 1e3,
    turns: int = 5,
    least: Callable[[], float] | None = None,
    settle: float = 0,
) -> list[Row]:
    """Lets needle's `cases` and the peers take turns; a row for every case, against the best peer.

    Each call does the work once and returns its cost, less being better; `scale` turns that
    (seconds) into `unit`. `least` measures the cost that the machine allows, for
    fraction_of_limit. A first turn does not count. Before each call `settle` seconds pass: threads
    of a library that has just run go on looking for work for a while, and hold up the next one.
    While the turns disagree (half of the ratios lie further apart than UNSURE), as many again are
    taken, up to PATIENCE times `turns`: something else was at work on the machine.
    """

    def cost(run: Callable[[], float]) -> float:
        time.sleep(settle)
        return run()

    def turn() -> Turn:
        return (
            [cost(run) for run in cases.values()],
            [cost(run) for run in peers.values()],
            cost(least) if least else None,
        )

    turn()
    turns_of_all = [turn() for _ in range(turns)]
    while len(turns_of_all) < PATIENCE * turns and _spread(turns_of_all) > UNSURE:
        turns_of_all += [turn() for _ in range(turns)]
    medians = [statistics.median(p[i] for _, p, _ in turns_of_all) for i in range(len(peers))]
    best = medians.index(min(medians))
    rows = []
    for i, case in enumerate(cases):
        rows.append(
            Row(
                suite,
                case,
                statistics.median(n[i] for n, _, _ in turns_of_all) * scale,
                medians[best] * scale,
                list(peers)[best],
                unit,
                statistics.median(p[best] / n[i] for n, p, _ in turns_of_all),
                statistics.median(low / n[i] for n, _, low in turns_of_all) if least else None,
            )
        )
    return rows


def _spread(turns: list[Turn]) -> float:
    """How far apart half of the ratios lie, as a part of their median; that of the worst case."""
    worst = 0.0
    for i in range(len(turns[0][0])):
        ratios = [min(peers) / ours[i] for ours, peers, _ in turns]
        low, middle, high = statistics.quantiles(ratios, n=4)
        worst = max(worst, (high - low) / middle)
    return worst


def timed(run: Callable[[], object], seconds: float = 0.02) -> Callable[[], float]:
    """The seconds of one run(), from so many in a row that they take about `seconds`.

    One before them does not count: it finds the caches as another library has left them.
    """
    start = time.perf_counter()
    run()
    repeats = 1
    while (once := (time.perf_counter() - start) / repeats) * repeats < seconds / 4:
        repeats *= 2
        start = time.perf_counter()
        for _ in range(repeats):
            run()
    repeats = max(1, round(seconds / once))

    def cost() -> float:
        run()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - start) / repeats

    return cost


def count(threads: int) -> str:
    """ "1 thread", "2 threads": how the cases name it."""
    return f"{threads} thread" + ("" if threads == 1 else "s")


def keep_memory() -> None:
    """The C library keeps freed memory, as needle's pool does: no peer pays for fresh pages."""
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def show(rows: list[Row]) -> None:
    """The rows as a table on the terminal, and what they come to."""
    limited = any(r.fraction_of_limit is not None for r in rows)
    table = Table("suite", "case", "needle", "peer", "", "unit", "ratio")
    if limited:
        table.add_column("of limit")
    for r in rows:
        cells = [r.suite, r.case, f"{r.needle:.4g}", f"{r.peer:.4g}", r.peer_name, r.unit,
                 f"{r.ratio:.2f}"]  # fmt: skip
        if limited:
            cells.append("" if r.fraction_of_limit is None else f"{r.fraction_of_limit:.0%}")
        table.add_row(*cells)
    table.columns[1].no_wrap = True
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(table)
    lowest = min(rows, key=lambda r: r.ratio)
    mean = statistics.geometric_mean(r.ratio for r in rows)
    console.print(
        f"{len(rows)} cases: ratio {mean:.2f} in the geometric mean, "
        f"lowest {lowest.ratio:.2f} ({lowest.case})",
        highlight=False,
    )


def main(rows: Callable[[], list[Row]]) -> None:
    """The command line of a suite."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    found = rows()
    show(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in found], indent=1) + "\n")
