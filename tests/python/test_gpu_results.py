"""What was measured on a GPU: the lesson says the same, and so does the simulator."""

import json
import re
from pathlib import Path

from course.ladder import counted

ROOT = Path(__file__).resolve().parents[2]
LESSON = ROOT / "lessons/04-hardware"
# This kernel reads in packs of 16 bytes since, the same sectors with a fourth of the requests.
SINCE_CHANGED = ("reduction", "v5", "global_reads", "requests")


def stored(name: str) -> list[dict]:
    path = ROOT / f"tests/bench/results/2026-11-26-h200-{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def test_every_gpu_number_of_the_lesson_is_in_the_results():
    """Rates of an H200 in the text are those of the stored run."""
    text = (LESSON / "gpu.md").read_text(encoding="utf-8")
    rows = {row["case"]: row for row in stored("kernels")}
    moves = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \| (\d+)% \|$", text, re.MULTILINE)
    assert len(moves) >= 3
    for name, rate, share in moves:
        assert round(rows[name]["GB/s"]) == int(rate.replace(",", "")), name
        assert round(100 * rows[name]["of copy"]) == int(share), name
    products = re.findall(r"^\| `(ladder matmul v\d)` \| ([\d.]+) \|$", text, re.MULTILINE)
    assert len(products) == 9
    for name, rate in products:
        assert f"{rows[name]['TFLOP/s']:.1f}" == rate, name


def test_the_sectors_are_those_that_a_profiler_counted():
    """Of every rung that is the same kernel on a GPU: requests and sectors of global memory."""
    simulated = {
        (ladder.ladder, rung.name): rung
        for ladder in counted.read(LESSON / "simulated.json")
        for rung in ladder.rungs
    }
    compared = 0
    for row in stored("counters"):
        rung = simulated[row["ladder"], row["rung"]]
        if row["ladder"] == "matmul" and rung.name in ("v8", "v9"):
            continue  # the slot takes another kernel there
        for kind in ("global_reads", "global_writes"):
            for unit in ("requests", "units"):
                if (row["ladder"], rung.name, kind, unit) == SINCE_CHANGED:
                    continue
                ours = getattr(rung.counts[kind], unit)
                assert ours == row["counts"][kind][unit], (row["ladder"], rung.name, kind)
                compared += 1
    assert compared == 4 * 22 - 1
