"""What all benchmarks share: turns, medians, the table, the JSON file.

A suite is a module with `rows() -> list[Row]`; run one with `python tests/bench/autograd.py [--json
FILE]`. needle and its peer take turns in one run, so that what else the machine does hits both; a
figure is the median of the turns, and the ratio is the median of the ratios of each turn.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]


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


def peer(module: str, install: str) -> ModuleType:
    """The module to compare with; a missing one is an error that says how to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise SystemExit(f"bench: {module} is missing; install it: {install}") from error


def compare(
    suite: str,
    cases: dict[str, Callable[[], float]],
    other: Callable[[], float],
    peer_name: str,
    *,
    unit: str = "ms",
    scale: float = 1e3,
    turns: int = 5,
) -> list[Row]:
    """Lets needle's `cases` and the peer take turns; a row for every case.

    Each call does the work once and returns its cost, less being better; `scale` turns that
    (seconds) into `unit`. A first turn does not count.
    """
    costs: list[tuple[list[float], float]] = []
    for _ in range(turns + 1):
        costs.append(([run() for run in cases.values()], other()))
    rows = []
    for i, case in enumerate(cases):
        pairs = [(ours[i], theirs) for ours, theirs in costs[1:]]
        rows.append(
            Row(
                suite,
                case,
                statistics.median(n for n, _ in pairs) * scale,
                statistics.median(p for _, p in pairs) * scale,
                peer_name,
                unit,
                statistics.median(p / n for n, p in pairs),
            )
        )
    return rows


def show(rows: list[Row]) -> None:
    """The rows as a table on the terminal."""
    table = Table("suite", "case", "needle", "peer", "", "unit", "ratio")
    for r in rows:
        table.add_row(r.suite, r.case, f"{r.needle:.4g}", f"{r.peer:.4g}", r.peer_name, r.unit,
                      f"{r.ratio:.2f}")  # fmt: skip
    Console().print(table)


def main(rows: Callable[[], list[Row]]) -> None:
    """The command line of a suite."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    options = parser.parse_args()
    found = rows()
    show(found)
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in found], indent=1) + "\n")
