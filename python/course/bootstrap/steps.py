"""One line per step of the setup, with its time; commands whose output goes to a log file."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ..paths import LOGS, shown

TAIL_LINES = 15
# Where output is not a terminal, a step that takes long says so every so many seconds.
SIGN_OF_LIFE = 30.0


class SetupError(Exception):
    """Setup cannot go on. The text says what was wrong and what to do, for a person."""


class Step:
    """A line on stderr: what is done now, a detail, the seconds. Silent if nothing was reported.

    Use as a context manager. `report` shows the line; a step that never reports (nothing was to
    be done) leaves no trace.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._detail = ""
        self._shown = False
        self._start = time.monotonic()
        self._last_print = self._start
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._live = sys.stderr.isatty()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._done.set()
        self._ticker.join()
        if not self._shown:
            return
        mark = "done" if kind is None else "FAILED"
        clear = "\r\033[K" if self._live else ""
        print(f"{clear}{self.name}: {mark} ({self.seconds():.1f} s)", file=sys.stderr, flush=True)

    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._start

    def report(self, detail: str = "") -> None:
        """Says what is going on now; the first call makes the line appear."""
        with self._lock:
            self._detail = detail.strip()
            self._shown = True

    def pause(self) -> None:
        """Stops drawing over the line, so that another program can ask a question."""
        self._done.set()

    def _tick(self) -> None:
        while not self._done.wait(0.2):
            with self._lock:
                if not self._shown:
                    continue
                text = f"{self.name} ({self.seconds():.0f} s) {self._detail}"
            if self._live:
                print(f"\r\033[K{text[:99]}", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - self._last_print > SIGN_OF_LIFE:
                self._last_print = time.monotonic()
                print(text[:99], file=sys.stderr, flush=True)


def run_logged(
    command: Sequence[str | Path],
    log: str,
    *,
    on_line: Callable[[str], None] = lambda _: None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    keep_stdin: bool = False,
) -> int:
    """Runs a command with its output in build/logs/LOG; returns the exit status.

    `on_line` sees every line as it comes. A program that is not there counts as status 127, with
    the reason in the log. Ctrl-C reaches the child through the terminal; we wait for its end.
    """
    path = log_path(log)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = path.open("w", encoding="utf-8", errors="replace")
    except OSError as error:
        raise SetupError(f"Cannot write {shown(path)}: {error.strerror}.") from None
    with sink:
        sink.write("$ " + " ".join(str(part) for part in command) + "\n")
        sink.flush()
        try:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=None if keep_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=env,
                cwd=cwd,
            )
        except OSError as error:
            sink.write(f"{command[0]}: {error.strerror}\n")
            return 127
        with child:
            try:
                for line in child.stdout or ():
                    sink.write(line)
                    on_line(line.rstrip())
            except BaseException:
                child.terminate()
                raise
        return child.returncode


def log_path(log: str) -> Path:
    """The file in build/logs that belongs to this name."""
    return LOGS / log


def failure(what: str, log: str) -> SetupError:
    """An error that names the log, shows its last lines, and guesses the usual causes."""
    path = log_path(log)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    tail = "\n".join("    " + line for line in lines[-TAIL_LINES:])
    return SetupError(f"{what}{_hint(' '.join(lines))}\n{tail}\n  Full log: {shown(path)}")


def _hint(text: str) -> str:
    causes = {
        "The disk is full: free some space and start again.": ("No space left on device",),
        "The packages cannot be reached: connect this machine to the network and start again.": (
            "Temporary failure resolving",
            "Temporary failure in name resolution",
            "Could not resolve",
            "Network is unreachable",
            "NewConnectionError",
            "Failed to establish a new connection",
            "Name or service not known",
            "Could not connect to",
            "(from versions: none)",
        ),
        "Another program is installing packages: wait for its end and start again.": (
            "Could not get lock",
        ),
    }
    for advice, signs in causes.items():
        if any(sign in text for sign in signs):
            return f" {advice}"
    return " The last lines of its output:"
