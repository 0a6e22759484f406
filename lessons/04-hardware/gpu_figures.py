"""The figures and tables of lesson 4's GPU half; figures.py draws them beside the others.

They show simulated.json. As a program, .venv/bin/python lessons/04-hardware/gpu_figures.py, this
counts everything again, as ./course ladder --device cuda_sim --json does, and writes all of it.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

import matplotlib.pyplot as plt
from drawing import BLUE, GREEN, GREY, ORANGE, arrow, blank, box, save

from course.ladder import counted, gpu_roofline
from course.ladder.counted import H200, KINDS, Counted, Counts
from course.ladder.gpu_cases import GPU_CASES

FOLDER = Path(__file__).parent
STORED = FOLDER / "simulated.json"
TEXT = FOLDER / "gpu.md"


def counts() -> dict[str, Counts]:
    """The stored counts by ladder."""
    return {found.ladder: found for found in counted.read(STORED)}


def grid(folder: Path) -> None:
    """A grid of blocks, one block of it with its warps, and where they run."""
    figure, axes = blank(7.2, 3.3, xmax=24, ymax=11)
    axes.text(0.2, 10.2, "a grid of 4 blocks", fontsize=10)
    for i in range(4):
        colour = "#bee3f8" if i == 3 else "white"
        box(axes, 0.2, 7.6 - 2.2 * i, f"block {i}", width=4.6, height=1.7, colour=colour)
    axes.text(7.2, 10.2, "block 3: 256 threads, 8 warps", fontsize=10)
    for w in range(8):
        first = 768 + 32 * w
        idle = max(0, min(32, first + 32 - 1000))
        colour = "#e2e8f0" if idle == 32 else "#feebc8" if idle else "#c6f6d5"
        text = f"warp {w}: i = {first} … {first + 31}"
        text += f" ({32 - idle} work)" if idle else ""
        box(axes, 7.2, 8.6 - 1.15 * w, text, width=8.0, height=0.95, colour=colour, size=8)
    arrow(axes, (4.9, 1.9), (7.0, 4.8), GREY)
    axes.text(17.2, 10.2, "multiprocessor", fontsize=10)
    box(axes, 17.2, 0.5, "", width=6.4, height=9.2)
    for s in range(4):
        box(axes, 17.6, 7.9 - 1.5 * s, "scheduler, 32 lanes", width=5.6, height=1.2,
            colour="#c6f6d5", size=9)  # fmt: skip
    box(axes, 17.6, 2.1, "256 KiB of registers", width=5.6, height=0.9, colour="#bee3f8", size=9)
    box(axes, 17.6, 0.9, "L1, shared memory", width=5.6, height=0.9, colour="#e9d8fd", size=9)
    arrow(axes, (15.4, 5.2), (17.0, 5.2), GREY)
    save(figure, folder, "grid")


def coalescing(folder: Path) -> None:
    """Which sectors the 32 loads of a warp touch, for three patterns."""
    figure, axes = blank(7.2, 3.0, xmax=66, ymax=12)
    patterns = [
        ("x[i]", lambda lane: 4 * lane),
        ("x[i + 1]", lambda lane: 4 * lane + 4),
        ("x[2 * i]", lambda lane: 8 * lane),
    ]
    for row, (name, at) in enumerate(patterns):
        y = 8.6 - 3.8 * row
        touched = {at(lane) // 32 for lane in range(32)}
        used = {at(lane) for lane in range(32)}
        axes.text(0, y + 1.3, f"{name}: {len(touched)} sectors", fontsize=9)
        for sector in range(8):
            wanted = sector in touched
            colour = "#bee3f8" if wanted else "white"
            box(axes, 16 + 6.2 * sector, y, "", width=6.2, height=1.6, colour=colour)
            for word in range(8):
                if 32 * sector + 4 * word in used:
                    axes.add_patch(
                        plt.Rectangle((16.1 + 6.2 * sector + 0.75 * word, y + 0.3), 0.6, 1.0,
                                      facecolor=BLUE)
                    )  # fmt: skip
    text = "a box: a sector, 32 bytes; light: it moves; dark: words that a lane wants"
    axes.text(8, -0.6, text, fontsize=9, color=GREY)
    save(figure, folder, "coalescing")


def banks(folder: Path) -> None:
    """The banks of a column of a tile, 32 and 33 words wide; 8 banks are drawn for 32."""
    figure, axes = blank(7.2, 3.2, xmax=24, ymax=11)
    for x, width, title in [(0.4, 8, "rows of 8 words"), (13.0, 9, "rows of 9 words")]:
        axes.text(x, 10.0, title, fontsize=10)
        found = []
        for row in range(8):
            for column in range(width):
                bank = (row * width + column) % 8
                wanted = column == 2
                colour = "#feebc8" if wanted else "#e2e8f0" if column == 8 else "white"
                box(axes, x + 1.1 * column, 8.2 - 1.05 * row, str(bank), width=1.1, height=1.05,
                    colour=colour, size=8)  # fmt: skip
                found += [bank] if wanted else []
        kinds = len(set(found))
        text = (
            f"column 2: {kinds} bank{'s' * (kinds > 1)}, {8 // kinds} wavefront{'s' * (kinds < 8)}"
        )
        axes.text(x, -0.2, text, fontsize=9, color=GREEN if kinds > 1 else ORANGE)
    axes.text(
        0.4, -1.2, "a number: the word's bank; 8 banks are drawn for 32", fontsize=9, color=GREY
    )
    save(figure, folder, "banks")


def roofline(folder: Path) -> None:
    """What the counters allow each rung of the matrix product, on an H200."""
    figure, axes = plt.subplots(figsize=(6.8, 4.4))
    gpu_roofline.draw(counts()["matmul"], axes)
    save(figure, folder, "gpu-roofline")


def draw(folder: Path) -> None:
    """All of them."""
    grid(folder)
    coalescing(folder)
    banks(folder)
    roofline(folder)


# --- tables ---


def _requests(kind: str):
    return lambda _, rung: str(rung.counts[kind])


def _most(found: Counts, rung: Counted, *, cached: bool = True) -> str:
    rate, limit = found.rate(rung, H200, cached)
    if not rate:
        return "?"
    return f"{rate / 1e3:.1f}" + (f" {limit}" if cached else "")


def _atomics(_: Counts, rung: Counted) -> str:
    return f"{rung.counts['global_atomics'].requests:,}"


def _ratio(found: Counts, rung: Counted) -> str:
    return f"{rung.global_bytes / found.least_bytes:.2f}"


COLUMNS = {
    "threads": lambda _, rung: f"{rung.threads:,}",
    "barriers": lambda _, rung: f"{rung.barriers:,}",
    "atomics": _atomics,
    "load": _requests(KINDS[0]),
    "store": _requests(KINDS[1]),
    "shared load": _requests(KINDS[3]),
    "shared store": _requests(KINDS[4]),
    "shared requests": lambda _, rung: f"{rung.counts[KINDS[3]].requests:,}",
    "bytes/least": _ratio,
    "FLOP/byte": lambda found, rung: f"{found.flops / rung.global_bytes:.1f}",
    "at most": _most,
    "no cache": lambda found, rung: _most(found, rung, cached=False),
}
TABLES = {
    "matmul": ["load", "shared load", "shared requests", "barriers", "FLOP/byte", "at most",
               "no cache"],
    "transpose": ["threads", "load", "store", "shared load", "shared store"],
    "reduction": ["threads", "atomics", "barriers", "shared load"],
    "softmax": ["load", "store", "bytes/least", "at most", "no cache"],
}  # fmt: skip


def table(found: Counts) -> str:
    """A ladder's table as Markdown; its first heading is the ladder's name."""
    columns = TABLES[found.ladder]
    rows = [[found.ladder, "idea", *columns], ["---"] * (2 + len(columns))]
    for rung in found.rungs:
        if rung.is_available:
            rows.append([rung.name, rung.idea, *(COLUMNS[c](found, rung) for c in columns)])
        else:
            rows.append([rung.name, rung.idea, "only on a GPU", *[""] * (len(columns) - 1)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_tables(text: str) -> str:
    """The text with the tables of all ladders as they are now."""
    for found in counts().values():
        pattern = re.compile(rf"^\| {found.ladder} \|.*\n(\|.*\n)+", re.MULTILINE)
        new = table(found)
        text, times = pattern.subn(lambda _, new=new: new, text)
        if times != 1:
            raise ValueError(f"{TEXT.name} has {times} tables of {found.ladder}; want one")
    return text


def main() -> None:
    """Counts, and writes counts, tables and figures."""
    counted.write([counted.count(case, case.size["cuda_sim"]) for case in GPU_CASES], STORED)
    TEXT.write_text(with_tables(TEXT.read_text(encoding="utf-8")), encoding="utf-8")
    draw(FOLDER / "figures")


if __name__ == "__main__":
    main()
