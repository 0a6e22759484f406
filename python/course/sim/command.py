"""The command: compiles, runs, prints the counts and the findings, writes the page."""

import json as json_module
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import CourseError
from ..paths import shown
from . import flops, page
from .program import compile_program, run_program

ORDERS = ["normal", "reversed", "shuffled"]
# What is counted, how the table calls it, and what one unit of it is.
PARTS = {
    "global_reads": ("global load", "sectors"),
    "global_writes": ("global store", "sectors"),
    "global_atomics": ("global atomic", "sectors"),
    "shared_reads": ("shared load", "wavefronts"),
    "shared_writes": ("shared store", "wavefronts"),
    "shared_atomics": ("shared atomic", "wavefronts"),
}
NOTES = (
    "Sectors of 32 bytes, wavefronts of 32 banks, as in the textbook: caches are not modelled, nor "
    "bank conflicts of atomics. In loops that lanes leave at different times, requests and branches "
    "are put together by count, which is an approximation; so is FLOPs, which are those of g++ "
    "(no FMA, nothing from inside of library functions)."
)


def sim(
    console: Console,
    source: Path,
    arguments: list[str],
    order: str,
    html: Path | None,
    json: Path | None,
    checks: bool,
) -> int:
    """Exit status: 1 if something was found, or else the program's own."""
    if order not in ORDERS:
        raise CourseError(f"--order {order}: want one of {', '.join(ORDERS)}.")
    if not source.is_file():
        raise CourseError(f"There is no file {source}.")
    for path in filter(None, (html, json)):
        if not path.absolute().parent.is_dir():
            raise CourseError(f"{path}: there is no folder {path.parent}.")
    with console.status(f"compiling {source.name} for the simulator"):
        program = compile_program(source)
    outcome = run_program(program, arguments, order, checks)
    report = outcome.report
    for kernel in report["kernels"]:
        _add_flops(kernel, program)
        console.print(_table(kernel))
        console.print(_summary(kernel), highlight=False, markup=False, soft_wrap=True)
    _say_findings(console, report["findings"], checks)
    if report["kernels"]:
        console.print(NOTES, style="dim", highlight=False, markup=False)
    target = html or program.with_suffix(".html")
    target.write_text(page.render(source, report, NOTES), encoding="utf-8")
    console.print(f"The source with its figures: {shown(target.absolute())}", highlight=False)
    if json:
        json.write_text(json_module.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if report["findings"] else outcome.status


def _add_flops(kernel: dict[str, Any], program: Path) -> None:
    """Adds "flops" to each line and to the total, if they can be counted."""
    counted = flops.count(program, kernel.pop("basic_blocks"))
    if counted is None:
        return
    kernel["total"]["flops"] = sum(counted.values())
    for line in kernel["lines"]:
        line["flops"] = sum(
            number
            for (file, at), number in counted.items()
            if at == line["line"] and file.endswith(line["file"])
        )


def _table(kernel: dict[str, Any]) -> Table:
    table = Table(title=kernel["kernel"], box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("line", justify="right")
    table.add_column("what")
    for heading in ["requests", "units a request", "ideal", "ideal of units", "bytes"]:
        table.add_column(heading, justify="right")
    for line in kernel["lines"]:
        for key, (name, unit) in PARTS.items():
            if key not in line:
                continue
            part = line[key]
            share = part["ideal"] / part["units"]
            colour = "green" if share >= 0.9 else "yellow" if share >= 0.4 else "red"
            table.add_row(
                str(line["line"]),
                name,
                f"{part['requests']:,}",
                f"{part['units'] / part['requests']:.2f} {unit}",
                f"{part['ideal'] / part['requests']:.2f}",
                f"[{colour}]{share:.0%}[/]",
                f"{part['bytes']:,}",
            )
    return table


def _summary(kernel: dict[str, Any]) -> str:
    total = kernel["total"]
    said = [
        f"{kernel['launches']:,} launch{'es' if kernel['launches'] != 1 else ''}",
        f"{kernel['blocks']:,} blocks",
        f"{kernel['threads']:,} threads",
        f"{total['barriers']:,} barriers",
        f"{total['warp_operations']:,} warp operations",
        f"{total['divergent']:,} of {total['branches']:,} branches divergent",
    ]
    if "flops" in total:
        said.append(f"{total['flops']:,} FLOPs")
    return ", ".join(said) + "."


def _say_findings(console: Console, findings: list[dict[str, Any]], checks: bool) -> None:
    for finding in findings:
        title, _, rest = finding["text"].partition(": ")
        console.print(f"[bold red]{title}[/]: ", end="", highlight=False)
        console.print(rest, highlight=False, markup=False, soft_wrap=True)
    if not findings:
        console.print("Nothing found." if checks else "Nothing was checked.", highlight=False)
