"""The picture of a run: loss of each step and held-out bits per byte."""

from pathlib import Path

import numpy as np

SMOOTHED_PART = 50  # the thick line averages over 1/50 of the run


def draw(log: list[list[str]], path: Path, title: str) -> None:
    """Draws log rows (step, loss, rate, held-out bits per byte or "", seconds) into a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = np.array([int(row[0]) for row in log if row[1]])
    losses = np.array([float(row[1]) for row in log if row[1]])
    marks = [(int(row[0]), float(row[3])) for row in log if row[3]]

    figure, left = pyplot.subplots(figsize=(8, 4.5), dpi=120)
    left.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=0.8)
    width = max(1, len(losses) // SMOOTHED_PART)
    if len(losses) > width:
        kernel = np.ones(width) / width
        smooth = np.convolve(losses, kernel, mode="valid")
        left.plot(steps[width - 1 :], smooth, color="tab:blue", label="training loss")
    left.set_xlabel("step")
    left.set_ylabel("training loss, nats per token", color="tab:blue")
    right = left.twinx()
    if marks:
        right.plot(*zip(*marks, strict=True), color="tab:orange", marker="o", markersize=3)
    right.set_ylabel("held-out bits per byte", color="tab:orange")
    left.set_title(title)
    left.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
