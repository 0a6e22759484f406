"""Runs pytest in a process of its own and takes the outcomes from the plugin's pipe."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from ..bootstrap.steps import log_path
from ..paths import LOGS, ROOT, shown
from .live import VARIABLE
from .recorder import Recorder

# pytest: all passed, some failed, nothing selected. Everything else is trouble of its own.
ORDINARY = {0, 1, 5}


def run_pytest(
    recorder: Recorder, arguments: Sequence[str], pattern: str | None, *, workers: int = 1
) -> None:
    """Runs the tests that the arguments name; failures are shown when they happen.

    With several workers whole files are dealt out, and PyTorch has one thread in each.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = log_path(f"pytest-{recorder.suite}.log")
    reader, writer = os.pipe()
    env = dict(os.environ)
    env[VARIABLE] = str(writer)
    env["PYTHONPATH"] = str(ROOT / "python")
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "course.testing.live"]
    command += [
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        *arguments,
        *(["-k", pattern] if pattern else []),
    ]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "loadfile"]
        env["OMP_NUM_THREADS"] = "1"
    with log.open("w", encoding="utf-8") as sink:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
        )
    os.close(writer)
    with child, os.fdopen(reader, encoding="utf-8") as events:
        try:
            for line in events:
                _take(recorder, json.loads(line))
        except BaseException:
            child.terminate()
            raise
    if child.returncode not in ORDINARY:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        recorder.failed(f"pytest, exit status {child.returncode}", f"{tail}\nLog: {shown(log)}")


def _take(recorder: Recorder, event: dict[str, str]) -> None:
    name = event["name"]
    match event["kind"]:
        case "start":
            recorder.now(name)
        case "passed":
            recorder.passed()
        case "failed":
            recorder.failed(name, event["detail"])
        case "skipped":
            recorder.skipped(name, event["detail"])
