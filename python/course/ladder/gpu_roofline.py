"""The roofline of a GPU: where each rung would be by what the simulator counted."""

import math
from pathlib import Path
from typing import Any

from ..errors import CourseError
from .counted import H200, Counts, Machine

SHOWN = (1 / 32, 256)  # FLOP/byte
LIMITS = {"FMA": ("#2f855a", "^"), "L1": ("#c05621", "o"), "memory": ("#2b6cb0", "s")}


def draw(found: Counts, axes: Any, machine: Machine = H200) -> None:
    """Draws the roof and the rungs into the axes of a matplotlib figure.

    A rung is a bar: from what it can reach if no cache keeps anything to what it can if the caches
    keep everything. FLOPs are counted for a byte of all sectors that warps ask for.
    """
    left, right = SHOWN
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    peak, memory = machine.peak / 1e12, machine.memory / 1e12
    ridge = peak / memory
    axes.plot([left, ridge, right], [left * memory, peak, peak], color="black", linewidth=1.2)
    axes.text(right, peak * 1.08, f"FMA peak, {peak:g} TFLOP/s", ha="right", fontsize=8)
    axes.text(0.7, 0.7 * memory * 0.55, f"memory, {memory:g} TB/s", fontsize=8)
    names: dict[tuple[float, float], list[str]] = {}
    for rung in found.rungs:
        if not rung.is_available:
            continue
        x = found.flops / rung.global_bytes
        least, _ = found.rate(rung, machine, cached=False)
        most, limit = found.rate(rung, machine)
        least, most = least / 1e3, most / 1e3
        colour, marker = LIMITS[limit]
        axes.plot([x, x], [least, most], color=colour, linewidth=2.5, zorder=3)
        label = f"at most, by {limit}; its bar begins at: no cache"
        label = None if label in axes.get_legend_handles_labels()[1] else label
        axes.plot(x, most, marker, color=colour, markersize=5, zorder=4, linestyle="", label=label)
        # Rungs that fall nearly on one point share a label.
        names.setdefault((round(math.log(x), 1), round(math.log(least), 1)), []).append(rung.name)
    for (x, y), some in names.items():
        axes.annotate(", ".join(some), (math.exp(x), math.exp(y)), (0, -13),
                      textcoords="offset points", ha="center", fontsize=9)  # fmt: skip
    axes.set_ylim(left * memory / 4, peak * 2)
    ticks = [2.0**n for n in range(-5, 9, 2)]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_yticks(rates := [0.1, 1, 10, 100], [f"{y:g}" for y in rates])
    axes.minorticks_off()
    axes.legend(loc="lower right", fontsize=8)
    axes.set_xlabel("FLOP per byte of all sectors of global memory that warps ask for")
    axes.set_ylabel("TFLOP/s")


def save(found: Counts, path: Path) -> None:
    """Writes the picture as an SVG file."""
    if found.unit != "GFLOP/s":
        raise CourseError(f"--svg: the roofline is for matmul; {found.ladder} only moves.")
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "DejaVu Sans"}):
        figure, axes = pyplot.subplots(figsize=(6.5, 4.2))
        draw(found, axes)
        axes.set_title(f"{found.ladder}, size {found.size}, for an {H200.name}", fontsize=10)
        try:
            figure.savefig(path, format="svg", bbox_inches="tight")
        except OSError as error:
            raise CourseError(f"{path}: {error.strerror}.") from None
        finally:
            pyplot.close(figure)
