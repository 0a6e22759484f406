"""The grader's end of a box: sends inputs, takes arrays, says how the student's process ended."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import frames, sandbox
from .frames import FrameError

HERE = Path(__file__).resolve().parent
SECONDS_TO_START = 30
SPARE_REPLY = 4 << 20
STARTUP_CPU = 3.0


class Ended(Exception):
    """The student's process gave no answer that counts: a verdict, a sentence, what it printed."""

    def __init__(self, verdict: str, text: str, where: tuple[str, int] | None = None) -> None:
        super().__init__(text)
        self.verdict = verdict
        self.where = where  # a file of the package and a line, of a Python error


class Raised(Ended):
    """The student's code raised an exception; its process goes on and can be asked again."""

    def __init__(
        self, verdict: str, kind: str, text: str, where: tuple[str, int] | None = None
    ) -> None:
        super().__init__(verdict, f"{kind}: {text}", where)
        self.kind = kind


class Session:
    """A running box. Use open_box()."""

    def __init__(
        self, child: subprocess.Popen[bytes], requests: int, replies: int, limits: sandbox.Limits
    ) -> None:
        self.output = bytearray()
        self.ready: list[str] = []
        self._child = child
        self._requests = requests
        self._replies = replies
        self._limits = limits
        self._received = bytearray()
        self._deadline = time.monotonic() + SECONDS_TO_START
        os.set_blocking(requests, False)
        try:
            header, _ = self._take(b"", 0)
            self.ready = list(header["ready"])
        except (Ended, FrameError, KeyError, TypeError) as error:
            said = bytes(self.output).decode(errors="replace").strip()[-400:]
            raise Ended("IE", f"The grader's own process did not start: {error} {said}") from None
        self._deadline = time.monotonic() + limits.wall

    def ask(self, question: str, args: dict[str, Any], reply_bytes: int) -> list[np.ndarray]:
        """The arrays for one case; `reply_bytes` is what a right answer has. Raises Ended."""
        if self._received:
            raise Ended("PROTO", "something wrote answers to which there was no question")
        nonce = secrets.token_hex(8)
        arrays: list[np.ndarray] = []
        given = frames.encode(args, arrays)
        request = frames.pack({"nonce": nonce, "question": question, "args": given}, arrays)
        try:
            header, found = self._take(request, 16 * reply_bytes + SPARE_REPLY)
        except FrameError as error:
            raise Ended("PROTO", f"the answer is not one: {error}") from None
        if header.get("nonce") != nonce:
            raise Ended("PROTO", "the answer belongs to no question that was asked")
        error = header.get("error")
        if error is not None:
            raise _fault(error)
        return found

    def _take(self, request: bytes, limit: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Writes a request and reads a frame, while the output is drained."""
        left = memoryview(request)
        readers = [self._replies, *([self._child.stdout.fileno()] if self._child.stdout else [])]
        total = 0
        while True:
            writers = [self._requests] if left else []
            for fd in sandbox.wait_for(readers, self._deadline, writers):
                if fd == self._requests:
                    try:
                        left = left[os.write(fd, left) :]
                    except BrokenPipeError:  # it has ended, and its pipe for answers says so
                        left = left[:0]
                    if left:
                        continue
                    break
                data = os.read(fd, 1 << 20)
                if fd != self._replies:
                    if not data:
                        readers.remove(fd)
                        break
                    self._hear(data)
                elif not data:
                    raise self._end()
                else:
                    self._received += data
                    if not total and len(self._received) >= frames.PREFIX.size:
                        total = frames.size(bytes(self._received[: frames.PREFIX.size]), limit)
                    if total and len(self._received) >= total:
                        frame = bytes(self._received[:total])
                        del self._received[:total]
                        return frames.unpack(frame)
            if time.monotonic() >= self._deadline:
                raise Ended("TLE", f"no answer within {self._limits.wall:.0f} s")

    def _hear(self, data: bytes) -> None:
        self.output += data
        if len(self.output) > self._limits.output:
            raise Ended("OLE", f"it printed more than {self._limits.output >> 10} KiB")

    def _end(self) -> Ended:
        """Why the process closed its end."""
        try:
            status = self._child.wait(2)
        except subprocess.TimeoutExpired:
            return Ended("PROTO", "it closed the pipe for its answers")
        if self._child.stdout:
            os.set_blocking(self._child.stdout.fileno(), False)
            with contextlib.suppress(BlockingIOError, Ended):
                while data := os.read(self._child.stdout.fileno(), 1 << 16):
                    self._hear(data)
        status = 128 - status if status < 0 else status
        if status == 0:
            return Ended("PROTO", "it ended (exit status 0) without an answer")
        number = status - 128
        if number == signal.SIGXCPU:
            return Ended(
                "TLE", f"it used more than {self._limits.cpu - STARTUP_CPU:.0f} s of the CPU"
            )
        if number == signal.SIGXFSZ:
            return Ended("RTE", "it wrote a file that is too large (SIGXFSZ)")
        if 0 < number < signal.NSIG:
            with contextlib.suppress(ValueError):
                name = signal.Signals(number).name
                return Ended("RTE", f"it crashed: {name}, {signal.strsignal(number)}")
        return Ended("RTE", f"it ended with exit status {status}")


@contextlib.contextmanager
def open_box(
    package: Path,
    driver: Path,
    seconds: float,
    environment: dict[str, str] | None = None,
    memory: int | None = 4 << 30,
    gpu: bool = False,
) -> Iterator[Session]:
    """A fresh process with this `needle` and driver.py in it.

    With `gpu` it may use the GPUs of the machine. Their driver looks for them in /sys, and takes
    far more addresses than memory, so that these have no limit then.
    """
    limits = sandbox.Limits(
        cpu=seconds + STARTUP_CPU, wall=3 * seconds, memory=None if gpu else memory
    )
    devices = sorted(Path("/dev").glob("nvidia*")) if gpu else []
    request_out, request_in = os.pipe()
    reply_out, reply_in = os.pipe()
    env = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
    open_fds = {request_out, request_in, reply_out, reply_in}
    try:
        # The driver's folder also holds the oracle, which must not be seen: copies go into the box.
        with tempfile.TemporaryDirectory(prefix="course-driver-") as name:
            folder = Path(name)
            for path in [HERE / "box.py", HERE / "frames.py", driver]:
                shutil.copyfile(path, folder / path.name)
            files: Sequence[str] = [str(folder / "box.py"), str(request_out), str(reply_in)]
            command = [sys.executable, "-I", "-B", *files, str(package), str(folder / driver.name)]
            readable = [*sandbox.interpreter_folders(), package, folder]
            readable += [Path("/sys")] if gpu else []
            pipes = [request_out, reply_in]
            with sandbox.start(command, None, readable, [], limits, env, pipes, devices) as child:
                for fd in (request_out, reply_in):
                    os.close(fd)
                    open_fds.discard(fd)
                yield Session(child, request_in, reply_out, limits)
    finally:
        for fd in open_fds:
            os.close(fd)


def _fault(error: Any) -> Ended:
    """An exception of the student's code, as the box reports it; nothing in it is trusted."""
    if not isinstance(error, dict):
        return Ended("PROTO", "the answer's error is no record")
    kind, text = str(error.get("type"))[:80], str(error.get("text"))[:600]
    where = error.get("where")
    place = None
    if isinstance(where, list) and len(where) == 2 and type(where[1]) is int:
        place = (f"python/{str(where[0])[:200]}", where[1])
    verdict = "MLE" if error.get("memory") is True else "RTE"
    return Raised(verdict, kind, text, place)
