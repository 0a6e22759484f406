"""Starts the server program needle-serve, in this process's place or beside it."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import CourseError
from .paths import SERVER, shown
from .train.folder import recover

READY = re.compile(r"ready at (http://\S+)")
SECONDS_TO_START = 120
SECONDS_TO_DRAIN = 30


def command(model: Path, *arguments: str) -> list[str]:
    """The server's command line; CourseError if it is not built or there is no model."""
    recover(model)
    if not model.is_dir():
        raise CourseError(f"There is no model folder {model}; ./course train makes one.")
    if not SERVER.exists():
        raise CourseError(f"{shown(SERVER)} is not built: type ./course build.", status=1)
    return [str(SERVER), "--model", str(model), *arguments]


def become_server(arguments: list[str]) -> None:
    """Replaces this process by the server, so that signals and exit status are its own."""
    os.execv(arguments[0], arguments)


@contextlib.contextmanager
def running_server(model: Path, port: int) -> Iterator[str]:
    """A server beside this process, on a free port if `port` is 0; gives its address."""
    arguments = command(model, "--port", str(port))
    # A session of its own: Ctrl-C goes to us, and we end it in order.
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as server:
        try:
            yield _address(server)
        finally:
            _end(server)


def _address(server: subprocess.Popen[str]) -> str:
    """Waits for the line that says where the server is; then drains its output beside us."""
    lines: list[str] = []
    found: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for line in server.stdout or ():
            if len(lines) < 20:
                lines.append(line.strip())
            if not found and (match := READY.search(line)):
                found.append(match.group(1))
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    ready.wait(SECONDS_TO_START)
    if not found:
        said = " ".join(lines) or "it said nothing"
        raise CourseError(f"The server did not start: {said}", status=1)
    return found[0].rstrip("/")


def _end(server: subprocess.Popen[str]) -> None:
    """SIGTERM, so that running answers are finished; SIGKILL only if that takes too long."""
    server.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_DRAIN
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.poll() is None:
        server.kill()
