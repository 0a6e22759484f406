"""Runs a test program, hands on its output line by line, ends it if it hangs."""

import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..paths import ROOT


def stream(
    command: Sequence[str | Path],
    on_line: Callable[[str], None],
    timeout: float,
    env: dict[str, str] | None = None,
) -> str:
    """Runs the command at the top of the tree. Gives "" if all was well, else what was wrong."""
    try:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    hung = threading.Event()

    def end() -> None:
        hung.set()
        child.kill()

    timer = threading.Timer(timeout, end)
    timer.start()
    with child:
        try:
            for line in child.stdout or ():
                on_line(line.rstrip("\n"))
            child.wait()
        except BaseException:
            child.terminate()
            raise
        finally:
            timer.cancel()
    if hung.is_set():
        return f"no end after {timeout:.0f} s"
    return f"exit status {child.returncode}" if child.returncode else ""
