"""The simulator's report to read: as text, and as a page that shows the source line by line."""

import html
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # of the source tree, if the package lies in one
NOTES = (
    "Sectors of 32 bytes, wavefronts through 32 banks, as in the textbook: caches are not "
    "modelled, nor bank conflicts of atomics. Where lanes leave a loop at different times, their "
    "accesses and branches are put together by count, an approximation. So are FLOPs, where they "
    "are shown: they are those of g++ (no FMA, nothing from inside of library functions)."
)

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #dfe5ee);
  --soft: light-dark(#66707f, #93a0b4); --line: light-dark(#dde2ea, #333d4d);
  --paper: light-dark(#ffffff, #161b23); --good: light-dark(#1d7f4d, #4cc38a);
  --fair: light-dark(#a96a00, #e5a84b); --bad: light-dark(#c2303c, #ff7b82);
  --badpaper: light-dark(#fdecee, #3a1d22); }
body { margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p, li { max-width: 52rem; } .soft { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; }
th { font-weight: 600; text-align: right; padding: .2rem .6rem; color: var(--soft);
  font-size: .85rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { vertical-align: top; padding: 0 .6rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; font-size: .85rem; }
td.code, th.code { text-align: left; width: 60%; }
td.code pre { margin: 0; font: 14px/1.55 ui-monospace, monospace; white-space: pre-wrap;
  tab-size: 4; }
td.number { color: var(--soft); user-select: none; }
tr.found td { background: var(--badpaper); }
tr.hot td { border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.bar { display: inline-block; height: .6em; border-radius: 2px; margin-left: .4em;
  vertical-align: baseline; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
.finding { border-left: 4px solid var(--bad); padding: .3rem .8rem; margin: .6rem 0;
  background: var(--badpaper); white-space: pre-wrap; max-width: 60rem; }
.scroll { overflow-x: auto; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
"""
# What is counted, and how the page and the text call it.
PARTS = {
    "global_reads": "load",
    "global_writes": "store",
    "global_atomics": "atomic",
    "shared_reads": "load",
    "shared_writes": "store",
    "shared_atomics": "atomic",
}


def as_text(kernels: list[dict[str, Any]], findings: list[str]) -> str:
    """One line for each kind of access on each line of the source, then the findings."""
    said = []
    for kernel in kernels:
        said.append(f"{kernel['kernel']}: {summary(kernel)}")
        for line in kernel["lines"]:
            for key, name in PARTS.items():
                if key not in line:
                    continue
                part = line[key]
                space, unit = key.split("_")[0], "sectors" if key[0] == "g" else "wavefronts"
                said.append(
                    f"  {line['file']}:{line['line']}  {space} {name}: "
                    f"{part['requests']:,} requests, "
                    f"{part['units'] / part['requests']:.2f} {unit} each "
                    f"(ideal {part['ideal'] / part['requests']:.2f})"
                )
    return "\n".join([*said, *(findings or ["Nothing was found."])])


def summary(kernel: dict[str, Any]) -> str:
    """Launches, threads, barriers, branches of a kernel in one line."""
    total = kernel["total"]

    def some(number: int, one: str, ending: str = "s") -> str:
        return f"{number:,} {one}{ending if number != 1 else ''}"

    said = [
        some(kernel["launches"], "launch", "es"),
        some(kernel["blocks"], "block"),
        some(kernel["threads"], "thread"),
        some(total["barriers"], "barrier"),
        some(total["warp_operations"], "warp operation"),
        f"{total['divergent']:,} of {total['branches']:,} branches divergent",
    ]
    if "flops" in total:
        said.append(f"{total['flops']:,} FLOPs")
    return ", ".join(said) + "."


def render(title: str, report: dict[str, Any], source: Path | None = None) -> str:
    """The whole page as HTML, which needs no other file.

    With `source`, that file is shown even if no line of it was counted.
    """
    findings = report["findings"]
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts.append(
        '<p class="soft">Run in needle’s simulator: what each line would have cost on a GPU.</p>'
    )
    parts += [_finding(finding) for finding in findings]
    if not findings:
        parts.append("<p class='good'>No defect was found.</p>")
    parts += [_kernel(kernel) for kernel in report["kernels"]]
    lines = _lines(report)
    files = {file for file, _ in lines} | {f["file"] for f in findings if f["file"]}
    if source is not None:
        files.add(_name(source))
    for file in sorted(files):
        parts.append(_source(file, lines, findings))
    parts.append(f'<p class="soft">{html.escape(NOTES)}</p>')
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _name(source: Path) -> str:
    """As the report calls it: without the ".." at its beginning."""
    name = str(source)
    while name.startswith("../"):
        name = name[3:]
    return name


def _finding(finding: dict[str, Any]) -> str:
    title, _, rest = finding["text"].partition(": ")
    link = f'<a href="#L{finding["line"]}" class="bad">{html.escape(title)}</a>'
    return f'<div class="finding"><strong>{link}</strong>: {html.escape(rest)}</div>'


def _kernel(kernel: dict[str, Any]) -> str:
    total = kernel["total"]
    figures = [
        ("launches", kernel["launches"]),
        ("threads", kernel["threads"]),
        ("barriers", total["barriers"]),
        ("divergent branches", f"{total['divergent']:,} of {total['branches']:,}"),
        ("global bytes", sum(total[key]["bytes"] for key in total if key.startswith("global"))),
        ("global sectors", _of_ideal(total, "g")),
        ("shared wavefronts", _of_ideal(total, "s")),
    ]  # fmt: skip
    if "flops" in total:
        figures.append(("FLOPs", total["flops"]))
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value if isinstance(value, str) else f'{value:,}'}</dd></div>"
        for name, value in figures
    )
    return f"<h2>{html.escape(kernel['kernel'])}</h2><dl>{cells}</dl>"


def _of_ideal(total: dict[str, Any], first: str) -> str:
    found = [total[key] for key in PARTS if key[0] == first and key in total]
    units, ideal = (sum(part[key] for part in found) for key in ("units", "ideal"))
    if not units:
        return "none"
    return f'{units:,} <span class="{_grade(ideal / units)}">({units / ideal:.1f} × ideal)</span>'


def _grade(share: float) -> str:
    return "good" if share >= 0.9 else "fair" if share >= 0.4 else "bad"


def _lines(report: dict[str, Any]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """What the kernels counted, by (file, line)."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for kernel in report["kernels"]:
        for line in kernel["lines"]:
            if line["file"]:
                found.setdefault((line["file"], line["line"]), []).append(line)
    return found


def _source(
    file: str, lines: dict[tuple[str, int], list[dict[str, Any]]], findings: list[dict[str, Any]]
) -> str:
    path = next((place for place in (Path(file), ROOT / file) if place.is_file()), None)
    if path is None:
        return f"<h2>{html.escape(file)}</h2><p class='soft'>This file is not here.</p>"
    wrong: dict[int, list[str]] = {}
    for finding in findings:
        if finding["file"] == file:
            wrong.setdefault(finding["line"], []).append(finding["text"])
        if finding["other_file"] == file and finding["other_line"] != finding["line"]:
            wrong.setdefault(finding["other_line"], []).append(
                "the other side of: " + finding["text"]
            )
    rows = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, code in enumerate(text.splitlines(), 1):
        rows.append(_row(number, code, lines.get((file, number), []), wrong.get(number, [])))
    heads = ["global: sectors a request", "shared: wavefronts a request", "active lanes",
             "divergent", "FLOPs"]  # fmt: skip
    return (
        f"<h2>{html.escape(file)}</h2><div class='scroll'><table><thead><tr><th></th>"
        "<th class='code'>source</th>"
        + "".join(f"<th>{head}</th>" for head in heads)
        + "</tr></thead><tbody>"
        + "\n".join(rows)
        + "</tbody></table></div>"
    )


def _row(number: int, code: str, counts: list[dict[str, Any]], wrong: list[str]) -> str:
    cells = [_accesses(counts, "g"), _accesses(counts, "s")]
    warps, threads = (sum(line[key] for line in counts) for key in ("warps", "threads"))
    cells.append(f"{threads / warps:.1f} of 32" if warps else "")
    branches, divergent = (sum(line[key] for line in counts) for key in ("branches", "divergent"))
    cells.append(f"{divergent:,} of {branches:,}" if branches else "")
    barriers = sum(line["barriers"] for line in counts)
    flops = sum(line.get("flops", 0) for line in counts)
    cells.append(
        f"{flops:,}" if flops else f"{barriers:,} barrier{'s' * (barriers > 1)}" if barriers else ""
    )
    kind = " class='found'" if wrong else " class='hot'" if any(cells[:2]) else ""
    notes = "".join(f"<div class='finding'>{html.escape(text)}</div>" for text in wrong)
    return (
        f"<tr id='L{number}'{kind}><td class='number'>{number}</td>"
        f"<td class='code'><pre>{html.escape(code) or ' '}</pre>{notes}</td>"
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _accesses(counts: list[dict[str, Any]], first: str) -> str:
    """One line of text for each kind of access, with a bar as long as the units are many."""
    said = []
    for key, name in PARTS.items():
        parts = [line[key] for line in counts if key in line and key[0] == first]
        if not parts:
            continue
        requests, units, ideal = (
            sum(part[k] for part in parts) for k in ("requests", "units", "ideal")
        )
        width = 2 * min(units / requests, 32)
        said.append(
            f'<span class="{_grade(ideal / units)}">{name} {units / requests:.2f} '
            f"({ideal / requests:.2f})"
            f'<span class="bar" style="width:{width:.0f}px;background:currentColor"></span></span>'
        )
    return "<br>".join(said)
