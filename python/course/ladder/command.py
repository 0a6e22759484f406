"""The command: checks a ladder, times it, prints the table and the roofline, writes files."""

import math
from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import needle as ndl

from ..errors import CourseError
from ..openblas import OpenBLAS
from . import limits, result, roofline
from .cases import CASES, Case
from .check import check
from .limits import Limits
from .result import Line, Result
from .timing import Timing, in_turns

NAMES = [case.name for case in CASES]
# Of one element of a softmax, an exponential counted as one; and of one element of a sum.
FLOPS_FOR_BYTE = {"matmul": 1.0, "softmax": 5 / 8, "sum": 1 / 4}


def ladder(
    console: Console,
    name: str | None,
    size: int | None,
    threads: int | None,
    json: Path | None,
    svg: Path | None,
) -> None:
    """Runs one ladder, or all at their usual sizes."""
    if name is not None and name not in NAMES:
        raise CourseError(f"There is no ladder {name!r}. The ladders are: {', '.join(NAMES)}.")
    if name is None and (size or svg):
        raise CourseError(f"--size and --svg are for one ladder; name it: {', '.join(NAMES)}.")
    if size is not None and size < 1:
        raise CourseError(f"--size {size}: want at least 1.")
    if threads is not None and threads < 1:
        raise CourseError(f"--threads {threads}: want at least 1.")
    for path in filter(None, (json, svg)):
        if not path.absolute().parent.is_dir():
            raise CourseError(f"{path}: there is no folder {path.parent}.")
    if threads is not None:
        ndl.set_num_threads(threads)
    measured = limits.measure(ndl.get_num_threads())
    found = []
    for case in CASES:
        if name in (None, case.name):
            found.append(run(console, case, size or case.default_size, measured))
    if json:
        result.write(found, json)
    if svg:
        roofline.save(found[0], svg)


def run(console: Console, case: Case, size: int, measured: Limits) -> Result:
    """One ladder: checked, timed, printed."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    compared = check(case, case.rungs)
    say(f"{case.name}: {compared} results on awkward shapes agree with the reference device")
    arrays = case.operands(size)
    operands = [ndl.from_numpy(x) for x in arrays]
    calls = {rung.name: partial(rung, *operands) for rung in case.rungs}
    peers = _peers(case, arrays, measured.threads)
    timings = in_turns(calls | {name: call for name, (call, _) in peers.items()})
    found = Result(case.name, size, case.unit, case.limit, measured,
                   _lines(case, size, arrays, timings, peers, measured))  # fmt: skip
    console.print(_table(found, case))
    most = max(line.turns for line in found.lines)
    slow = ", ".join(f"{line.name}: {line.turns}" for line in found.lines if line.turns < most)
    say(f"Medians of {most} turns{f' ({slow})' if slow else ''}. {_version(case)}")
    say(roofline.terminal(found))
    return found


def _peers(case: Case, arrays: tuple, threads: int) -> dict[str, tuple]:
    """OpenBLAS beside the matrix product, on one thread and on all: (call, threads) by name."""
    if case.name != "matmul":
        return {}
    blas = OpenBLAS()
    a, b = arrays
    multiply = blas.product(a, b, np.empty((a.shape[0], b.shape[1]), np.float32))

    def call(count: int) -> None:
        blas.set_num_threads(count)
        multiply()

    return {
        "OpenBLAS" if count == 1 else f"OpenBLAS x{count}": (partial(call, count), count)
        for count in sorted({1, threads})
    }


def _version(case: Case) -> str:
    return f"{OpenBLAS().name.split(' NO_')[0]}." if case.name == "matmul" else ""


def _lines(
    case: Case,
    size: int,
    arrays: tuple,
    timings: dict[str, Timing],
    peers: dict[str, tuple],
    measured: Limits,
) -> list[Line]:
    work = case.work(size)
    exact = math.fsum(arrays[0].tolist()) if case.name == "sum" else None

    def share(rate: float, threads: int) -> float:
        if case.name == "matmul":
            return rate / (measured.peak if threads == 1 else measured.peak_all)
        return rate / limit[threads]

    limit = {
        count: limits.bandwidth_for(case.name, work, count)
        for count in {1, measured.threads}
        if case.name != "matmul"
    }
    lines = []
    for rung in case.rungs:
        timing, threads = timings[rung.name], measured.threads if rung.is_slot else 1
        rate = work / timing.seconds
        error = None
        if exact is not None:
            error = abs(rung(ndl.from_numpy(arrays[0])).item() - exact) / exact
        lines.append(
            Line(rung.name, rung.idea, rung.file, threads, timing.turns, timing.seconds,
                 rate / 1e9, share(rate, threads), rung.flop_per_byte,
                 rate * FLOPS_FOR_BYTE[case.name], error)
        )  # fmt: skip
    for name, (_, threads) in peers.items():
        timing = timings[name]
        rate = work / timing.seconds
        lines.append(Line(name, "", "", threads, timing.turns, timing.seconds, rate / 1e9,
                          share(rate, threads)))  # fmt: skip
    return lines


def _table(found: Result, case: Case) -> Table:
    threads = found.limits.threads
    what = (
        "x".join([str(found.size)] * 3)
        if case.name == "matmul"
        else f"{found.size:,} {case.size_is}"
    )
    plural = "" if threads == 1 else "s"
    title = f"{case.name}, {what}, {found.limits.isa}, last rung on {threads} thread{plural}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("rung")
    table.add_column("idea", no_wrap=True)
    of_limit = "of peak" if case.name == "matmul" else f"of {found.limit.split()[0]}"
    last = "error" if case.name == "sum" else "x v1"
    for heading in ["ms", found.unit, of_limit, last]:
        table.add_column(heading, justify="right")
    for line in found.lines:
        ms = line.seconds * 1e3
        gain = found.lines[0].seconds / line.seconds
        table.add_row(
            line.name,
            line.idea,
            f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}",
            f"{line.rate:.1f}",
            f"{line.share:.1%}" if line.share < 0.1 else f"{line.share:.0%}",
            f"{gain:.1f}" if line.error is None else f"{line.error:.1e}",
        )
    return table
