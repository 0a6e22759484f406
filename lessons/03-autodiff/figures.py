"""The figures of lesson 3: python lessons/03-autodiff/figures.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib.pyplot as plt
import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, arrow, blank, box, save


def graph(folder: Path) -> None:
    """y = a exp(a b) + b with its values (blue) and its gradients (orange)."""
    figure, axes = blank(7.5, 3.0, xmax=15, ymax=6)
    e = np.e
    nodes = {
        "a": (0.2, 4.2, "2", 2 * e),
        "b": (0.2, 1.0, "0.5", 4 * e + 1),
        "u = a b": (3.6, 2.6, "1", 2 * e),
        "v = exp u": (6.8, 2.6, "2.718", 2),
        "w = a v": (10.0, 4.2, "5.437", 1),
        "y = w + b": (12.8, 1.0, "5.937", 1),
    }
    for name, (x, y, value, gradient) in nodes.items():
        box(axes, x, y, name, width=2.0, height=0.9)
        left = 0.4 if name.startswith("y") else 0  # there an arrow comes from above
        axes.text(x + 1 - left, y + 1.1, value, ha="center", color=BLUE, fontsize=9)
        axes.text(x + 1, y - 0.45, f"{gradient:.4g}", ha="center", color=ORANGE, fontsize=9)
    for start, end in [
        ((2.2, 4.5), (3.6, 3.3)),
        ((2.2, 1.6), (3.6, 2.8)),
        ((5.6, 3.05), (6.8, 3.05)),
        ((8.8, 3.2), (10.0, 4.4)),
        ((2.2, 4.8), (10.0, 4.8)),
        ((12.0, 4.3), (14.5, 1.95)),
        ((2.2, 1.3), (12.8, 1.3)),
    ]:
        arrow(axes, start, end, GREY)
    axes.text(4.6, 5.6, "blue: value, computed left to right", color=BLUE, fontsize=9)
    axes.text(4.6, 0.1, "orange: dy/d(node), computed right to left", color=ORANGE, fontsize=9)
    save(figure, folder, "graph")


def step_size(folder: Path) -> None:
    """The error of both differences for x^3 at 1: truncation on the right, rounding on the left."""
    # Multiplications and constants alone: powers differ in their last bit from machine to machine.
    h = np.array([float(f"1e-{n}") for n in range(1, 15)])
    up, down = (1 + h) * (1 + h) * (1 + h), (1 - h) * (1 - h) * (1 - h)
    one_sided = np.abs((up - 1) / h - 3)
    central = np.abs((up - down) / (2 * h) - 3)
    figure, axes = plt.subplots(figsize=(6.5, 3.0))
    axes.loglog(h, one_sided, "o-", color=ORANGE, label="one-sided, error ~ h")
    axes.loglog(h, central, "o-", color=BLUE, label="central, error ~ h²")
    axes.set_xlabel("step h")
    axes.set_ylabel("error of the slope")
    axes.legend(frameon=False)
    save(figure, folder, "step-size")


def checkpointing(folder: Path) -> None:
    """Values alive at the worst moment, by number of segments, for a chain of 64 operations."""
    segments = np.array([1, 2, 4, 8, 16, 32, 64])
    figure, axes = plt.subplots(figsize=(6.5, 2.8))
    axes.plot(segments, segments + 64 // segments, "o-", color=GREEN)
    axes.set_xscale("log", base=2)
    axes.set_xticks(segments, [str(n) for n in segments])
    axes.set_ylim(0, 70)
    axes.set_xlabel("segments")
    axes.set_ylabel("values alive at most")
    axes.annotate(
        "√64 segments: 16 values", (8, 17), (8, 42), ha="center", arrowprops={"arrowstyle": "->"}
    )
    save(figure, folder, "checkpointing")


def main(folder: Path) -> None:
    """Writes every figure of the lesson into `folder`."""
    graph(folder)
    step_size(folder)
    checkpointing(folder)


if __name__ == "__main__":
    main(Path(__file__).parent / "figures")
