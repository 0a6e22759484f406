"""The ladders of a GPU: counted in the simulator, or timed on a GPU; tables, files."""

from functools import partial
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import needle as ndl
from needle import _core

from ..errors import CourseError
from . import counted, gpu_peers, gpu_roofline, gpu_timed
from .counted import H200, Counts
from .gpu_cases import GPU_CASES, GpuCase
from .gpu_check import check_awkward, operands_of
from .gpu_timed import Timed, TimedRung
from .timing import in_turns

NAMES = [case.name for case in GPU_CASES]
HEADINGS = {
    "global_reads": "load",
    "global_writes": "store",
    "shared_reads": "sh. load",
    "shared_writes": "sh. store",
}
NOTES = {
    "sectors": "In front: sectors of global memory, or wavefronts of shared memory, for a request "
    "of a warp; in brackets, what they could be.",
    "bytes": "x least: bytes of all sectors over what must be read and written. FLOP/B: for such a "
    "byte.",
    "at most": f"at most: on an {H200.name} of {H200.peak / 1e12:g} TFLOP/s and "
    f"{H200.memory / 1e12:g} TB/s, by the FMAs, by what L1 and shared memory deliver, and by the "
    "memory, if the caches keep everything; no cache: if they keep nothing. Latency is not in it.",
}


def gpu_ladder(
    console: Console,
    device: str,
    name: str | None,
    size: int | None,
    json: Path | None,
    svg: Path | None,
) -> None:
    """Runs one ladder, or all at their usual sizes, on "cuda" or "cuda_sim"."""
    if name is not None and name not in NAMES:
        raise CourseError(
            f"There is no ladder {name!r} on {device}. The ladders are: {', '.join(NAMES)}."
        )
    if name is None and (size or svg):
        raise CourseError(f"--size and --svg are for one ladder; name it: {', '.join(NAMES)}.")
    if size is not None and size < 1:
        raise CourseError(f"--size {size}: want at least 1.")
    if svg and device == "cuda":
        raise CourseError("--svg draws what the simulator counts: use it with --device cuda_sim.")
    for path in filter(None, (json, svg)):
        if not path.absolute().parent.is_dir():
            raise CourseError(f"{path}: there is no folder {path.parent}.")
    try:
        ndl.ladder.on(device)
    except RuntimeError as error:
        raise CourseError(f"{error}.") from None
    cases = [case for case in GPU_CASES if name in (None, case.name)]
    run = count if device == "cuda_sim" else time
    found = [run(console, case, size or case.size[device]) for case in cases]
    if json:
        (counted if device == "cuda_sim" else gpu_timed).write(found, json)
    if svg:
        gpu_roofline.save(found[0], svg)
    if device == "cuda_sim":
        for note in NOTES.values():
            _say(console, note)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)


def _table(title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("rung")
    return table


def _title(case: GpuCase, size: int) -> str:
    shapes = {"matmul": "x".join([str(size)] * 3), "transpose": f"{size}x{size}"}
    return f"{case.name}, {shapes.get(case.name, f'{size:,} {case.size_is}')}"


# --- in the simulator ---


def count(console: Console, case: GpuCase, size: int) -> Counts:
    """One ladder: checked, counted, printed."""
    with console.status(f"{case.name} in the simulator"), ndl.sim.watch(check=True, count=False):
        compared = check_awkward(case, case.rungs("cuda_sim"), "cuda_sim")
    _say(console, f"{case.name}: {compared} results on awkward shapes agree with the reference "
                  "device, and the simulator found nothing wrong")  # fmt: skip
    with console.status(f"{case.name} in the simulator"):
        found = counted.count(case, size)
    console.print(overview(found, _title(case, size)))
    console.print(requests(found))
    for rung in found.rungs:
        if not rung.is_available:
            _say(console, f"{rung.name}, {rung.idea}: only on a GPU.")
    return found


def overview(found: Counts, title: str) -> Table:
    """What each rung is, and how much it does."""
    table = _table(title)
    table.add_column("idea", no_wrap=True)
    last = "FLOP/B" if found.unit == "GFLOP/s" else "atomics"
    for heading in ["threads", "barriers", "x least", last]:
        table.add_column(heading, justify="right")
    for rung in found.rungs:
        if not rung.is_available:
            table.add_row(rung.name, rung.idea, *"----")
            continue
        atomics = rung.counts["global_atomics"].requests
        table.add_row(
            rung.name,
            rung.idea,
            f"{rung.threads:,}",
            f"{rung.barriers:,}",
            f"{rung.global_bytes / found.least_bytes:.2f}",
            f"{found.flops / rung.global_bytes:.1f}" if last == "FLOP/B" else f"{atomics:,}",
        )
    return table


def requests(found: Counts) -> Table:
    """What a request costs, and what that allows."""
    table = _table("")
    table.padding = (0, 1, 0, 0)  # 80 columns
    for heading in [*HEADINGS.values(), "at most", "limit", "no cache"]:
        table.add_column(heading, justify="right")
    for rung in found.rungs:
        if rung.is_available:
            most, limit = found.rate(rung, H200)
            least, _ = found.rate(rung, H200, cached=False)
            table.add_row(
                rung.name,
                *(str(rung.counts[kind]) for kind in HEADINGS),
                f"{most:,.0f}" if most else "?",
                limit,
                f"{least:,.0f}" if least else "?",
            )
    table.caption = f"at most, no cache: {found.unit}"
    table.caption_justify = "left"
    return table


# --- on a GPU ---


def time(console: Console, case: GpuCase, size: int, device: str = "cuda") -> Timed:
    """One ladder: checked, timed, printed. (In the simulator it measures the host.)"""
    rungs = [rung for rung in case.rungs(device) if rung.is_available]
    compared = check_awkward(case, rungs, device)
    _say(console, f"{case.name}: {compared} results on awkward shapes agree with the reference "
                  "device")  # fmt: skip
    arrays = case.operands(size)
    calls = {rung.name: partial(rung, *operands_of(rung, arrays, device)) for rung in rungs}
    peers = gpu_peers.products(*arrays) if case.name == "matmul" else {}
    if case.name != "matmul":
        peers = {"copy": gpu_peers.copy(int(case.least_bytes(size)), device)}
    timings = in_turns(calls | peers, finish=partial(_core.synchronize, device))
    work = case.work(size)
    rates = {name: work / timing.seconds / 1e9 for name, timing in timings.items()}
    # Without cuBLAS, the library's own float32 product is what the others are measured by.
    limit = next(iter(peers), "v8")
    lines = [
        TimedRung(rung.name, rung.idea, rung.file, timings[rung.name].seconds, rates[rung.name],
                  rates[rung.name] / rates[limit])
        for rung in rungs
    ] + [
        TimedRung(name, "", "", timings[name].seconds, rates[name], rates[name] / rates[limit])
        for name in peers
    ]  # fmt: skip
    found = Timed(case.name, size, case.unit, _core.gpu_name(device), limit, lines)
    console.print(timed(found, _title(case, size)))
    return found


def timed(found: Timed, title: str) -> Table:
    """Time, rate, and which part of the limit that is."""
    table = _table(f"{title}, {found.gpu}")
    table.add_column("idea", no_wrap=True)
    for heading in ["ms", found.unit, f"of {found.limit}", "x v1"]:
        table.add_column(heading, justify="right")
    for line in found.lines:
        table.add_row(
            line.name,
            line.idea,
            f"{line.seconds * 1e3:.3g}",
            f"{line.rate:,.0f}",
            f"{line.share:.1%}" if line.share < 0.1 else f"{line.share:.0%}",
            f"{np.divide(found.lines[0].seconds, line.seconds):.1f}",
        )
    return table
