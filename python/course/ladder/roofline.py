"""The cache-aware roofline: what a core may reach by the bytes that it loads and stores.

Aleksandar Ilic, Frederico Pratas, Leonel Sousa. Cache-aware Roofline Model: Upgrading the Loft.
IEEE Computer Architecture Letters 13(1), 2014. One x for a rung, whichever level of the memory its
bytes come from; a slope for each level.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CourseError
from .result import Result

WIDTH, HEIGHT = 80, 22


@dataclass(frozen=True)
class Window:
    """What both pictures show: from x to x, FLOP/byte, and from y to y, GFLOP/s."""

    left: float
    right: float
    bottom: float
    top: float


def window(found: Result) -> Window:
    """Every rung and every roof, with some room."""
    x = [line.flop_per_byte for line in found.rungs]
    y = [line.flops / 1e9 for line in found.rungs]
    limits = found.limits
    ridge = limits.peak / min(limits.bandwidth.values())
    return Window(
        min(x) / 4, max(4 * max(x), 1.3 * ridge), min(y) / 2, max(limits.peak_all / 1e9, *y) * 1.6
    )


def roof(found: Result, level: str, x: float) -> float:
    """GFLOP/s of one thread whose bytes come from this level, at x FLOP/byte."""
    return min(found.limits.peak, found.limits.bandwidth[level] * x) / 1e9


# --- on the terminal ---


def terminal(found: Result) -> str:
    """The picture in plain characters, 80 columns; a rung is the digit of its version."""
    frame = window(found)
    margin = 7
    columns, rows = WIDTH - margin - 1, HEIGHT
    across = math.log(frame.right / frame.left) / (columns - 1)
    up = math.log(frame.top / frame.bottom) / (rows - 1)
    cells = [[" "] * columns for _ in range(rows)]

    def row_of(y: float) -> int:
        return rows - 1 - round(math.log(y / frame.bottom) / up)

    for column in range(columns):
        x = frame.left * math.exp(across * column)
        for level in found.limits.bandwidth:
            y = roof(found, level, x)
            if y > frame.bottom:
                cells[row_of(y)][column] = "-" if y >= found.limits.peak / 1e9 else "."
        if found.limits.threads > 1:
            cells[row_of(found.limits.peak_all / 1e9)][column] = "="
    for level in found.limits.bandwidth:
        _name_roof(cells, found, level, frame, across, row_of)
    for line in found.rungs:
        column = round(math.log(line.flop_per_byte / frame.left) / across)
        row = cells[row_of(line.flops / 1e9)]
        # Rungs that fall into one cell stand side by side.
        while row[column].isdigit():
            column += 1
        row[column] = line.name.lstrip("v")
    marks = {row_of(y): f"{y:g}" for y in _powers(frame.bottom, frame.top)}
    text = ["GFLOP/s"]
    for number, row in enumerate(cells):
        text.append(f"{marks.get(number, ''):>{margin - 1}}|{''.join(row)}".rstrip())
    axis = ["-"] * columns
    below = [" "] * (columns + margin)
    for x in _powers(frame.left, frame.right, base=2):
        column = round(math.log(x / frame.left) / across)
        label = f"{x:g}"
        if column + len(label) < columns:
            axis[column] = "+"
            below[margin + column : margin + column + len(label)] = label
    text += [" " * (margin - 1) + "+" + "".join(axis), "".join(below).rstrip()]
    text.append(
        " " * margin + "FLOP per byte loaded or stored; digits are rungs, - is the FMA peak"
    )
    if found.limits.threads > 1:
        text.append(" " * margin + f"of one thread, = of {found.limits.threads} threads")
    return "\n".join(text)


def _name_roof(
    cells: list, found: Result, level: str, frame: Window, across: float, row_of
) -> None:
    """Writes the level's name over its slope where nothing else is in the way."""
    for column in range(1, len(cells[0]) - len(level)):
        x = frame.left * math.exp(across * column)
        y = roof(found, level, x)
        if y <= frame.bottom * 1.3 or y >= found.limits.peak / 1e9:
            continue
        place = cells[row_of(y)]
        if all(mark in " ." for mark in place[column - 1 : column + len(level) + 1]):
            place[column : column + len(level)] = level
            return


def _powers(low: float, high: float, base: int = 10) -> list[float]:
    first = math.ceil(math.log(low, base))
    return [float(base) ** n for n in range(first, math.floor(math.log(high, base)) + 1)]


# --- as SVG ---


def draw(found: Result, axes: Any) -> None:
    """Draws roofs and rungs into the axes of a matplotlib figure."""
    frame, limits = window(found), found.limits
    axes.set(xscale="log", yscale="log")
    axes.set(xlim=(frame.left, frame.right), ylim=(frame.bottom, frame.top))
    colours = dict(zip(limits.bandwidth, ["#2b6cb0", "#2f855a", "#c05621", "#718096"], strict=True))
    for level, colour in colours.items():
        bandwidth = limits.bandwidth[level]
        x = [frame.left, limits.peak / bandwidth]
        axes.plot(x, [roof(found, level, at) for at in x], color=colour, linewidth=1.2)
        low = max(frame.left, frame.bottom * 1e9 / bandwidth) * 1.05
        axes.text(
            low, roof(found, level, low) * 1.06, f"{level}, {bandwidth / 1e9:.0f} GB/s", fontsize=8,
            color=colour, rotation=math.degrees(math.atan(bandwidth / 1e9)),
            rotation_mode="anchor", transform_rotates_text=True,
        )  # fmt: skip
    start = limits.peak / max(limits.bandwidth.values())
    axes.plot([start, frame.right], [limits.peak / 1e9] * 2, color="black", linewidth=1.2)
    axes.text(frame.right, limits.peak / 1e9 * 1.05, f"one thread: {limits.peak / 1e9:.0f}",
              ha="right", va="bottom", fontsize=8)  # fmt: skip
    if limits.threads > 1:
        axes.plot([start, frame.right], [limits.peak_all / 1e9] * 2, color="black", linestyle=":")
        axes.text(frame.right, limits.peak_all / 1e9 * 1.05, ha="right", va="bottom", fontsize=8,
                  s=f"{limits.threads} threads: {limits.peak_all / 1e9:.0f}")  # fmt: skip
    _draw_rungs(found, axes)
    if limits.threads > 1:
        axes.plot([], [], "D", color="black", markersize=4, label=f"with {limits.threads} threads")
        axes.legend(loc="lower right", fontsize=8)
    axes.set_xlabel("FLOP per byte loaded or stored")
    axes.set_ylabel("GFLOP/s")
    ticks = _powers(frame.left, frame.right, base=2)
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_yticks(ticks := _powers(frame.bottom, frame.top), [f"{y:g}" for y in ticks])
    axes.minorticks_off()


def _draw_rungs(found: Result, axes: Any) -> None:
    """Points with names that keep apart: to the right and to the left in turn."""
    last: dict[tuple[float, bool], float] = {}
    count: dict[float, int] = {}
    for line in sorted(found.rungs, key=lambda line: line.flops):
        x, y = line.flop_per_byte, line.flops / 1e9
        count[x] = count.get(x, 0) + 1
        right = count[x] % 2 == 1
        at = max(y, last.get((x, right), 0) * 1.3)
        last[(x, right)] = at
        marker = "o" if line.threads == 1 else "D"
        axes.plot(x, y, marker, color="black", markersize=4, zorder=3)
        axes.annotate(
            line.name, (x, y), (x * (1.18 if right else 1 / 1.18), at), fontsize=9,
            ha="left" if right else "right", va="center", zorder=3,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def save(found: Result, path: Path) -> None:
    """Writes the picture as an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "DejaVu Sans"}):
        figure, axes = pyplot.subplots(figsize=(6.5, 4.2))
        draw(found, axes)
        axes.set_title(f"{found.ladder}, size {found.size}, {found.limits.isa}", fontsize=10)
        try:
            figure.savefig(path, format="svg", bbox_inches="tight")
        except OSError as error:
            raise CourseError(f"{path}: {error.strerror}.") from None
        finally:
            pyplot.close(figure)
