"""What the figures of the lessons share: one look, and SVG files that are the same every time."""

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#c05621", "#2f855a", "#718096"

mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "needle",  # names inside the file do not change from run to run
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def save(figure: plt.Figure, folder: Path, name: str) -> None:
    """Writes folder/name.svg without date or version, and closes the figure."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.svg"
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(path, metadata=nothing, bbox_inches="tight", transparent=False)
    plt.close(figure)
    # One element a line: small files, and differences that can be read.
    text = re.sub(r"\s*\n\s*(?!\s*<)", " ", path.read_text(encoding="utf-8"))
    path.write_text(text.strip() + "\n", encoding="utf-8")


def blank(width: float, height: float, *, xmax: float, ymax: float):
    """A figure without axes, in units of the drawing: (figure, axes)."""
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(xlim=(0, xmax), ylim=(0, ymax))
    axes.axis("off")
    return figure, axes


def box(axes, x, y, text, *, width=1.0, height=1.0, colour="white", edge="black", size=10):
    """A rectangle with its lower left corner at (x, y) and a text in its middle."""
    axes.add_patch(plt.Rectangle((x, y), width, height, facecolor=colour, edgecolor=edge))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)


def arrow(axes, start, end, colour="black"):
    """An arrow from `start` to `end`."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour})
