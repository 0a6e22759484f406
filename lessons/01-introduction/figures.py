"""The figures of lesson 1: python lessons/01-introduction/figures.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib.pyplot as plt
import numpy as np
from drawing import BLUE, GREEN, GREY, ORANGE, save


def memory(folder: Path) -> None:
    """How long one access takes, from a register to another machine: orders of magnitude."""
    levels = {
        "register": 0.3e-9,
        "L1 cache, 32 KiB": 1e-9,
        "L2 cache, 1 MiB": 4e-9,
        "L3 cache, 32 MiB": 15e-9,
        "main memory": 100e-9,
        "solid-state disk": 100e-6,
        "another machine in the room": 500e-6,
    }
    figure, axes = plt.subplots(figsize=(6.5, 2.6))
    axes.barh(list(levels), list(levels.values()), color=BLUE, height=0.6)
    axes.set_xscale("log")
    axes.set_xlim(1e-10, 1e-2)
    axes.set_xticks([1e-9, 1e-6, 1e-3], ["1 ns", "1 µs", "1 ms"])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("time of one access (logarithmic)")
    save(figure, folder, "memory")


def roofline(folder: Path) -> None:
    """A machine of 100 GFLOP/s and 20 GB/s, with the operations that the text counts."""
    peak, bandwidth = 100.0, 20.0
    intensity = np.array([1 / 32, peak / bandwidth, 512])
    figure, axes = plt.subplots(figsize=(6.5, 3.4))
    axes.loglog(intensity, np.minimum(peak, intensity * bandwidth), color="black")
    points = {
        "add": (1 / 12, ORANGE),
        "matmul 1 x 1024 x 1024": (0.499, ORANGE),
        "attention in steps": (15.06, GREEN),
        "matmul 1024³": (170.7, GREEN),
    }
    for name, (x, colour) in points.items():
        y = min(peak, x * bandwidth)
        axes.plot(x, y, "o", color=colour)
        flat = y == peak
        offset = (0, 6) if x > 100 else (-12, -16) if flat else (8, -6)
        axes.annotate(
            name, (x, y), offset, textcoords="offset points", ha="center" if x > 100 else "left"
        )
    # The dotted line leaves room for a name.
    axes.plot([peak / bandwidth] * 2, [0.5, 6], color=GREY, linestyle=":")
    axes.plot([peak / bandwidth] * 2, [14, peak], color=GREY, linestyle=":")
    axes.text(peak / bandwidth * 1.1, 0.8, "ridge point: 5 FLOP/byte", color=GREY)
    axes.set_ylim(0.5, 200)
    axes.minorticks_off()
    axes.set_xlabel("arithmetic intensity, FLOP/byte")
    axes.set_ylabel("attainable GFLOP/s")
    save(figure, folder, "roofline")


def main(folder: Path) -> None:
    """Writes every figure of the lesson into `folder`."""
    memory(folder)
    roofline(folder)


if __name__ == "__main__":
    main(Path(__file__).parent / "figures")
