"""Layout and style: file lengths, clang-format, ruff, clang-tidy. Each file and tool is a test."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from ..paths import ROOT, shown
from .recorder import Recorder
from .tidy import Tidy

MAX_LINES = 400
MAX_LINES_OF_TEXT = 600  # an hour of reading
CXX = {".cc", ".h", ".cu", ".cuh"}
BINARY = {".png", ".jpg", ".ico", ".safetensors", ".bin", ".gz"}
MADE = {".svg", ".json"}  # by programs
SHOWN = 40


def run_lint(recorder: Recorder) -> None:
    """Runs all of it, as many at a time as there are processors."""
    files = source_files()
    for file in files:
        _check_length(recorder, file)
    sources = [file for file in files if file.suffix in CXX]
    ruff = [sys.executable, "-m", "ruff"]
    jobs: list[tuple[str, Callable[[], str]]] = [
        ("ruff check", lambda: run_tool([*ruff, "check", "--quiet", "."])),
        ("ruff format", lambda: run_tool([*ruff, "format", "--check", "--quiet", "."])),
    ]
    for file in sources:
        jobs.append((f"clang-format {shown(file)}", partial(_clang_format, file)))
    try:
        tidy = Tidy()
        for group in tidy.groups():
            names = " ".join([shown(group[0]), *(file.name for file in group[1:])])
            jobs.append((f"clang-tidy {names}", partial(tidy.check, group)))
    except (OSError, ValueError) as error:
        recorder.failed("clang-tidy", f"cannot read what was compiled how: {error}")
    _run_jobs(recorder, jobs)


def source_files() -> list[Path]:
    """All files that people wrote, those git knows or would add.

    No binary ones, no mutants (the insides of functions, with a fault), no results of benchmarks,
    nothing that programs drew or counted.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    names: Iterable[str] = listed.stdout.split("\0") if listed.returncode == 0 else _walk()
    files = [ROOT / name for name in names if name]
    return sorted(
        file
        for file in files
        if file.is_file()
        and file.suffix not in BINARY | MADE
        and not {"mutants", "results"} & set(file.parts)
    )


def run_tool(command: list[str]) -> str:
    """ "" if the tool is content, else the beginning of what it says."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return "\n".join(lines[:SHOWN]) or f"exit status {done.returncode}"


def _walk() -> Iterable[str]:
    """Not a git checkout: the folders that belong to the tree."""
    for name in ["needle", "python", "tests", "cuda", "lessons", "homework"]:
        for path in (ROOT / name).rglob("*"):
            if "__pycache__" not in path.parts and path.suffix != ".so":
                yield str(path.relative_to(ROOT))


def _check_length(recorder: Recorder, file: Path) -> None:
    lines = file.read_bytes().count(b"\n")
    most = MAX_LINES_OF_TEXT if file.suffix == ".md" else MAX_LINES
    if lines > most:
        recorder.failed(f"length {shown(file)}", f"{lines} lines; at most {most} are allowed")
    else:
        recorder.passed()


def _clang_format(file: Path) -> str:
    return run_tool(["clang-format", "--dry-run", "-Werror", str(file)])


def _run_jobs(recorder: Recorder, jobs: list[tuple[str, Callable[[], str]]]) -> None:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        running = {pool.submit(job): name for name, job in jobs}
        try:
            for done in as_completed(running):
                name = running[done]
                recorder.now(name)
                if fault := done.result():
                    recorder.failed(name, fault)
                else:
                    recorder.passed()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
