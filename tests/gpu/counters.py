"""What the profiler counted for each rung of the ladders: its CSV file to JSON.

Usage: counters.py FILE.csv
"""

import csv
import json
import re
import sys
from pathlib import Path

METRIC = re.compile(r"t_(requests|sectors)_pipe_lsu_mem_global_op_(ld|st)")
KINDS = {"ld": "global_reads", "st": "global_writes"}


def counts(lines: list[str]) -> list[dict[str, object]]:
    """A row for each rung; its kernels are added up. Names are those of the simulator."""
    found: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for row in csv.DictReader(line for line in lines if line.startswith('"')):
        rung = re.search(r":(\w+) (v\d+)", "".join(v for k, v in row.items() if "Push/Pop" in k))
        value = row["Metric Value"].replace(",", "")
        if not rung or not value.isdigit():
            continue
        if metric := METRIC.search(row["Metric Name"]):
            kind, unit = KINDS[metric[2]], metric[1].replace("sectors", "units")
        else:
            kind, unit = "shared", "wavefronts"
        of_kind = found.setdefault((rung[1], rung[2]), {}).setdefault(kind, {})
        of_kind[unit] = of_kind.get(unit, 0) + int(value)
    return [{"ladder": n, "rung": v, "counts": c} for (n, v), c in found.items()]


def main() -> None:
    rows = counts(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    text = ",\n".join("  " + json.dumps(row) for row in rows)
    print(f'{{\n "profiler": "Nsight Compute, counters of l1tex",\n "rows": [\n{text}\n ]\n}}')


if __name__ == "__main__":
    main()
