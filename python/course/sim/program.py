"""Compiles a CUDA program for the simulator, and runs it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CourseError
from ..paths import BUILD, RELEASE, ROOT
from .rewrite import rewrite

FOLDER = BUILD / "sim"
# As in cuda/sim/meson.build. Without -pie, addresses in the report are those in the file.
ARGUMENTS = [
    *("-std=c++20", "-O1", "-g", "-fsanitize=thread", "-fsanitize-coverage=trace-pc"),
    *("--param=tsan-instrument-func-entry-exit=0", "-ffp-contract=off", "-fno-pie"),
]
LIBRARIES = [
    "cuda/sim/libneedle_sim.a",
    "needle/libneedle_arrays.a",
    "needle/libneedle_parallel.a",
]
FAULT = re.compile(r"error|undefined reference")
SECONDS = 600


@dataclass
class Outcome:
    """What a run left: its report, its exit status, its program."""

    report: dict[str, Any]
    status: int
    program: Path


def compile_program(source: Path) -> Path:
    """The program made of a .cu file. CourseError with the compiler's first errors."""
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"Cannot read {source}: {error}.") from error
    compiler = shutil.which("g++")
    if compiler is None:
        raise CourseError("There is no g++. Start ./course build, which installs it.")
    # Files of the same name in several folders may be compiled at the same time.
    folder = FOLDER / hashlib.sha256(str(source.absolute()).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    cpp, made, program = (folder / (source.stem + end) for end in (".cc", ".o", ""))
    cpp.write_text(rewrite(text, source), encoding="utf-8")
    includes = [f"-I{ROOT}", f"-I{ROOT / 'cuda/sim/include'}", f"-I{source.absolute().parent}"]
    _run([compiler, *ARGUMENTS, *includes, "-c", cpp, "-o", made], source)
    libraries = [*(RELEASE / name for name in LIBRARIES), "-ltbb", "-lbacktrace"]
    _run([compiler, "-no-pie", "-Wl,--wrap=main", made, *libraries, "-o", program], source)
    return program


def _run(command: list[str | Path], source: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        first = next((i for i, line in enumerate(lines) if FAULT.search(line)), 0)
        raise CourseError(
            f"{source} does not compile:\n  " + "\n  ".join(lines[first : first + 12]), status=1
        )


def run_program(
    program: Path, arguments: list[str], order: str, checks: bool, step_limit: int
) -> Outcome:
    """Runs it with everything counted. Its own output goes to the terminal."""
    report = program.with_suffix(".json")
    report.unlink(missing_ok=True)
    words = ["count", "collect", *(["check"] if checks else [])]
    words += [order] if order != "normal" else []
    words.append(f"step_limit={step_limit}")
    env = dict(os.environ) | {"NEEDLE_SIM": ",".join(words), "NEEDLE_SIM_REPORT": str(report)}
    try:
        done = subprocess.run([program, *arguments], env=env, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise CourseError(f"The program was stopped after {SECONDS} seconds.", 1) from error
    if not report.exists():
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise CourseError(
            f"The program ended with {how} before it came to its end: there is no report.", 1
        )
    return Outcome(json.loads(report.read_text(encoding="utf-8")), done.returncode, program)
