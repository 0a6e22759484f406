"""The figures of lesson 4: python lessons/04-hardware/figures.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

import gpu_figures
import matplotlib.pyplot as plt
from drawing import BLUE, GREEN, GREY, ORANGE, arrow, blank, box, save

from course.ladder import result, roofline

# What `./course ladder --json` wrote on the machine of the text.
MEASURED = Path(__file__).parent / "measured.json"
# GB/s of ndl.cpu.read_bandwidth() there, by KiB.
READING = {
    8: 135.4, 16: 163.4, 32: 170.3, 64: 99.7, 128: 101.2, 256: 101.6, 512: 86.8, 1024: 80.1,
    2048: 79.1, 4096: 77.7, 8192: 67.6, 16384: 40.9, 32768: 24.7, 65536: 17.6, 131072: 16.5,
    262144: 16.6,
}  # fmt: skip


def pipeline(folder: Path) -> None:
    """Additions of four cycles: in one chain, and in four chains."""
    figure, axes = blank(7.0, 3.1, xmax=21, ymax=9.6)
    axes.text(0, 9.0, "one chain: each addition waits for the one before it", fontsize=10)
    for i in range(4):
        box(axes, 4 * i + 2, 7.6, f"x{i}", width=4, height=0.9, colour="#bee3f8", size=9)
    axes.text(0, 5.9, "four chains: one addition begins in each cycle (with one unit)", fontsize=10)
    colours = ["#bee3f8", "#c6f6d5", "#feebc8", "#e2e8f0"]
    for i in range(12):
        lane = i % 4
        box(axes, i + 2, 4.6 - 1.1 * lane, f"x{i}", width=4, height=0.9, colour=colours[lane],
            size=9)  # fmt: skip
    arrow(axes, (2, 0.6), (20, 0.6))
    for cycle in range(0, 17, 4):
        axes.plot([cycle + 2] * 2, [0.45, 0.75], color="black", linewidth=1)
        axes.text(cycle + 2, -0.2, f"{cycle}", ha="center", fontsize=9)
    axes.text(20.2, 0.6, "cycle", va="center", fontsize=9)
    save(figure, folder, "pipeline")


def bandwidth(folder: Path) -> None:
    """Reading a buffer again and again: a stair, whose steps are the caches."""
    figure, axes = plt.subplots(figsize=(6.5, 3.0))
    axes.plot(list(READING), list(READING.values()), "o-", color=BLUE)
    for size, name in {32: "L1", 512: "L2", 32768: "L3"}.items():
        axes.axvline(size, color=GREY, linestyle=":", linewidth=1)
        axes.text(size * 0.92, 186, name, color=GREY, ha="right", fontsize=9)
    axes.text(45000, 186, "memory", color=GREY, fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set_xticks([8, 64, 512, 4096, 32768, 262144],
                    ["8 KiB", "64 KiB", "512 KiB", "4 MiB", "32 MiB", "256 MiB"])  # fmt: skip
    axes.minorticks_off()
    axes.set_ylim(0, 200)
    axes.set_xlabel("size of the buffer")
    axes.set_ylabel("GB/s, one thread")
    save(figure, folder, "bandwidth")


def tile(folder: Path) -> None:
    """One step of the register tile: a column of A times a row of B, added to a tile of C."""
    figure, axes = blank(6.5, 3.3, xmax=20, ymax=10)
    for i in range(6):
        box(axes, 1.5, 6.0 - i, f"a{i}", width=1.4, height=1, colour="#feebc8", size=9)
    for half in range(2):
        box(axes, 5 + 6 * half, 8.2, f"b{half}: 8 numbers", width=6, height=1.1,
            colour="#c6f6d5", size=9)  # fmt: skip
        for i in range(6):
            box(axes, 5 + 6 * half, 6.0 - i, f"c{i}{half} += a{i} · b{half}", width=6, height=1,
                colour="#bee3f8", size=9)  # fmt: skip
    axes.text(2.2, 7.3, "column p of A", ha="center", fontsize=9, color=ORANGE)
    axes.text(11, 9.5, "row p of B", ha="center", fontsize=9, color=GREEN)
    axes.text(11, 0.2, "6 x 16 results stay in 12 registers while p runs", ha="center", fontsize=9,
              color=BLUE)  # fmt: skip
    save(figure, folder, "tile")


def blocks(folder: Path) -> None:
    """Which part of A, B and C is in which level of the memory."""
    figure, axes = blank(7.2, 3.4, xmax=24, ymax=11)

    def matrix(x: float, y: float, width: float, height: float, name: str) -> None:
        box(axes, x, y, "", width=width, height=height)
        axes.text(x + width, y + height + 0.3, name, ha="right", fontsize=10)

    matrix(0.3, 1.5, 7, 7, "C (m, n)")
    matrix(9.0, 1.5, 5, 7, "A (m, k)")
    matrix(16.0, 3.5, 7, 5, "B (k, n)")
    box(axes, 0.3, 5.8, "", width=7, height=1.2, colour="#edf2f7")
    axes.text(5.0, 6.4, "96 rows", fontsize=8, ha="center", va="center")
    box(axes, 1.7, 6.6, "", width=0.9, height=0.4, colour="#bee3f8")
    box(axes, 10.2, 5.8, "", width=2.4, height=1.2, colour="#c6f6d5")
    box(axes, 10.2, 6.6, "", width=2.4, height=0.4, colour="#feebc8")
    box(axes, 16.0, 5.0, "", width=7, height=2.4, colour="#e9d8fd")
    box(axes, 17.4, 5.0, "", width=0.9, height=2.4, colour="#feebc8")
    notes = [
        (0.3, "tile: registers", (2.1, 6.6)),
        (8.0, "block of A, 96 x 256: L2", (10.9, 5.8)),
        (17.0, "rows of B, 256 x n: L3", (20.5, 5.0)),
    ]
    for x, text, target in notes:
        axes.text(x, 0.2, text, fontsize=9)
        arrow(axes, (x + 2.2, 0.9), target, GREY)
    axes.text(13.4, 10.2, "panels, 6 x 256 and 256 x 16: L1", fontsize=9, ha="center")
    arrow(axes, (11.2, 10.0), (10.9, 7.0), GREY)
    arrow(axes, (15.6, 10.0), (17.8, 7.4), GREY)
    save(figure, folder, "blocks")


def ladder(folder: Path) -> None:
    """The measured rungs of the matrix product under the cache-aware roofline."""
    (found,) = [one for one in result.read(MEASURED) if one.ladder == "matmul"]
    figure, axes = plt.subplots(figsize=(6.8, 4.4))
    roofline.draw(found, axes)
    save(figure, folder, "roofline")


def main(folder: Path) -> None:
    """Writes every figure of the lesson into `folder`."""
    pipeline(folder)
    bandwidth(folder)
    tile(folder)
    blocks(folder)
    ladder(folder)
    gpu_figures.draw(folder)


if __name__ == "__main__":
    main(Path(__file__).parent / "figures")
