"""The figures of lesson 2: python lessons/02-foundations/figures.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drawing import BLUE, GREEN, GREY, ORANGE, arrow, blank, box, save

LIGHT = "#ebf4ff"
MARK = "#fbd38d"


def grid(axes, x, y, rows, marked=(), size=0.7):
    """A table of numbers with its upper left corner at (x, y)."""
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            colour = MARK if value in marked else LIGHT
            box(
                axes, x + j * size, y - (i + 1) * size, value,
                width=size, height=size, colour=colour,
            )  # fmt: skip


def strides(folder: Path) -> None:
    """One block of memory under three views."""
    figure, axes = blank(7.5, 3.4, xmax=12, ymax=5.4)
    for i in range(12):
        box(axes, 1.8 + 0.7 * i, 4.2, i, width=0.7, height=0.7, colour=MARK if i == 6 else LIGHT)
    axes.text(1.6, 4.55, "memory", ha="right", va="center", color=GREY)
    x = [[4 * i + j for j in range(4)] for i in range(3)]
    grid(axes, 0.2, 3.1, x, marked=[6])
    axes.text(0.2, 3.3, "x: strides (4, 1), offset 0", color=BLUE)
    grid(axes, 4.9, 3.1, [list(column) for column in zip(*x, strict=True)], marked=[6])
    axes.text(4.3, 3.3, "transposed: (1, 4), offset 0", color=BLUE)
    grid(axes, 9.2, 3.1, [row[::2] for row in x[1:]], marked=[6])
    axes.text(8.7, 3.3, "x[1:, ::2]: (4, 2), offset 4", color=BLUE)
    save(figure, folder, "strides")


def broadcast(folder: Path) -> None:
    """A row of four numbers, read three times."""
    figure, axes = blank(6, 2.5, xmax=9, ymax=3.6)
    for j in range(4):
        box(axes, 0.3 + 0.7 * j, 1.4, j, width=0.7, height=0.7, colour=MARK)
    axes.text(0.3, 2.3, "bias (4,), strides (1,)", color=BLUE)
    grid(axes, 5.2, 2.8, [[0, 1, 2, 3]] * 3, marked=[0, 1, 2, 3])
    axes.text(5.0, 3.05, "as (3, 4): strides (0, 1)", color=BLUE)
    for i in range(3):
        arrow(axes, (3.2, 1.75), (5.1, 2.45 - 0.7 * i), GREY)
    save(figure, folder, "broadcast")


def dispatch(folder: Path) -> None:
    """The path of one operation."""
    figure, axes = blank(7.5, 2.6, xmax=15, ymax=5)
    steps = ["ndl.matmul(a, b)", "op/matmul.cc", "apply_op", "kernels(device)"]
    for i, text in enumerate(steps):
        box(axes, 0.1 + 3.8 * i, 3.4, text, width=3.3, height=1, colour=LIGHT, size=9)
        if i:
            arrow(axes, (3.8 * i - 0.4, 3.9), (0.1 + 3.8 * i, 3.9))
    notes = ["Python binding", "shapes, dtypes", "allocates, records", "table of kernels"]
    for i, text in enumerate(notes):
        axes.text(1.75 + 3.8 * i, 4.6, text, ha="center", color=GREY, fontsize=9)
    for i, (text, colour) in enumerate(
        [("backend/reference", GREEN), ("backend/cpu", GREEN), ("cuda: lesson 4", ORANGE)]
    ):
        box(axes, 3.4 + 4 * i, 0.6, text, width=3.4, height=1, edge=colour, size=9)
        arrow(axes, (13.1, 3.4), (5.1 + 4 * i, 1.65), colour)
    save(figure, folder, "dispatch")


def main(folder: Path) -> None:
    """Writes every figure of the lesson into `folder`."""
    strides(folder)
    broadcast(folder)
    dispatch(folder)


if __name__ == "__main__":
    main(Path(__file__).parent / "figures")
