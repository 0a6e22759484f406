"""The command: compiles, runs, prints the counts and the findings, writes the page."""

import json as json_module
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from needle._sim_page import NOTES, render, summary

from ..errors import CourseError
from ..paths import shown
from . import flops
from .program import compile_program, run_program

ORDERS = ["normal", "reversed", "shuffled"]
# What is counted, and how the table calls it.
PARTS = {
    "global_reads": "global load",
    "global_writes": "global store",
    "global_atomics": "global atomic",
    "shared_reads": "shared load",
    "shared_writes": "shared store",
    "shared_atomics": "shared atomic",
}


def sim(
    console: Console,
    source: Path,
    arguments: list[str],
    order: str,
    html: Path | None,
    json: Path | None,
    checks: bool,
    step_limit: int,
) -> int:
    """Exit status: 1 if something was found, or else the program's own."""
    if order not in ORDERS:
        raise CourseError(f"--order {order}: want one of {', '.join(ORDERS)}.")
    if step_limit < 1:
        raise CourseError(f"--step-limit {step_limit}: want at least 1.")
    if not source.is_file():
        raise CourseError(f"There is no file {source}.")
    for path in filter(None, (html, json)):
        if not path.absolute().parent.is_dir():
            raise CourseError(f"{path}: there is no folder {path.parent}.")
    with console.status(f"compiling {source.name} for the simulator"):
        program = compile_program(source)
    outcome = run_program(program, arguments, order, checks, step_limit)
    report = outcome.report
    for kernel in report["kernels"]:
        _add_flops(kernel, program)
        console.print(_table(kernel))
        console.print(summary(kernel), highlight=False, markup=False, soft_wrap=True)
    _say_findings(console, report["findings"], checks)
    if report["kernels"]:
        console.print("Per request: sectors of global memory, wavefronts of shared. ", end="")
        console.print(NOTES, style="dim", highlight=False, markup=False)
    target = html or program.with_suffix(".html")
    target.write_text(render(source.name, report, source), encoding="utf-8")
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
    for heading in ["requests", "per request", "ideal", "efficiency", "bytes"]:
        table.add_column(heading, justify="right")
    for line in kernel["lines"]:
        for key, name in PARTS.items():
            if key not in line:
                continue
            part = line[key]
            share = part["ideal"] / part["units"]
            colour = "green" if share >= 0.9 else "yellow" if share >= 0.4 else "red"
            table.add_row(
                str(line["line"]),
                name,
                f"{part['requests']:,}",
                f"{part['units'] / part['requests']:.2f}",
                f"{part['ideal'] / part['requests']:.2f}",
                f"[{colour}]{share:.0%}[/]",
                f"{part['bytes']:,}",
            )
    return table


def _say_findings(console: Console, findings: list[dict[str, Any]], checks: bool) -> None:
    for finding in findings:
        title, _, rest = finding["text"].partition(": ")
        console.print(f"[bold red]{title}[/]: ", end="", highlight=False)
        console.print(rest, highlight=False, markup=False, soft_wrap=True)
    if not findings:
        console.print("Nothing found." if checks else "Nothing was checked.", highlight=False)
