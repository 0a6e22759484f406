"""Runs the suites of tests/bench, shows one table, writes one file."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .errors import CourseError
from .paths import ROOT

FOLDER = ROOT / "tests" / "bench"
NOT_SUITES = {"harness"}


def suites() -> list[str]:
    """The names of the suites that there are."""
    return sorted({path.stem.replace("_", "-") for path in FOLDER.glob("*.py")} - NOT_SUITES)


def bench(names: list[str], out: Path | None) -> int:
    """Runs the named suites, or all, each in a process of its own, one after the other."""
    unknown = [name for name in names if name not in suites()]
    if unknown:
        known = " ".join(suites())
        raise CourseError(f"There is no suite {unknown[0]!r}. The suites are: {known}.")
    env = dict(os.environ, PYTHONPATH=str(ROOT / "python"))
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(names or suites()):
        with tempfile.TemporaryDirectory(prefix="course-bench-") as folder:
            found = Path(folder) / "rows.json"
            script = FOLDER / f"{name.replace('-', '_')}.py"
            done = subprocess.run([sys.executable, script, "--json", found], env=env, check=False)
            if done.returncode != 0:
                return done.returncode
            rows += json.loads(found.read_text(encoding="utf-8"))
    if out:
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0
