"""Runs a program that is not trusted: a compiler on a student's text, or a student's code.

With bubblewrap, where it works: no network, no other processes, a file system of a few read-only
folders. Elsewhere only limits of the operating system. Which of the two is part of every result.
In both: a session of its own, an empty environment and folder, limits of time, memory, file size,
processes and output; everything it started is ended with it.
"""

import contextlib
import functools
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BUBBLEWRAP = "bubblewrap"
PROCESS_LIMITS = "process limits"
SYSTEM = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"]
OUTPUT = 1 << 20
SPARE_PROCESSES = 128
MARK = "COURSE_BOX"


@dataclass(frozen=True)
class Limits:
    """cpu, wall: seconds. memory (of addresses), file_size, output: bytes; None: no limit."""

    cpu: float
    wall: float
    memory: int | None = 2 << 30
    file_size: int = 64 << 20
    output: int = OUTPUT


@dataclass(frozen=True)
class Done:
    """How a run ended. `stopped` is TLE or OLE if we ended it, else empty."""

    status: int
    output: str
    stopped: str = ""


@functools.cache
def isolation() -> str:
    """What holds student code here; found by trying once."""
    program = shutil.which("bwrap")
    if not program:
        return PROCESS_LIMITS
    command = [*_bubblewrap([], [], None), "/bin/sh", "-c", "test ! -e /etc/passwd"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return PROCESS_LIMITS
    return BUBBLEWRAP if done.returncode == 0 else PROCESS_LIMITS


@contextlib.contextmanager
def start(
    command: Sequence[str],
    cwd: Path | None,
    readable: Sequence[Path],
    writable: Sequence[Path],
    limits: Limits,
    environment: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    devices: Sequence[Path] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """The running program, its output in one pipe. In the end, all that it started is ended.

    `devices` are the files in /dev that it may use, beside /dev/null and its like.
    """
    with tempfile.TemporaryDirectory(prefix="course-box-") as box:
        folder = str(cwd or box)
        writes = [*writable, Path(box)]
        inside = isolation() == BUBBLEWRAP
        env = {"PATH": _path(), "HOME": box, "TMPDIR": box, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        env |= {MARK: box, **(environment or {})}
        words = [_tool("prlimit"), *_limits(limits), "--", *command]
        if inside:
            options = [word for name, value in env.items() for word in ("--setenv", name, value)]
            words = [*_bubblewrap(readable, writes, folder, devices), *options, "--", *words]
        child = subprocess.Popen(
            words,
            cwd="/" if inside else folder,
            env={} if inside else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
            _sweep(box)


def run(
    command: Sequence[str],
    cwd: Path,
    readable: Sequence[Path],
    writable: Sequence[Path],
    limits: Limits,
) -> Done:
    """Runs a program to its end."""
    with start(command, cwd, readable, writable, limits) as child:
        output = bytearray()
        deadline = time.monotonic() + limits.wall
        for key in wait_for([child.stdout.fileno()] if child.stdout else [], deadline):
            data = os.read(key, 1 << 16)
            if not data:
                # It may have closed its output and go on.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = child.wait(max(0.1, deadline - time.monotonic()))
                    return Done(status, output.decode(errors="replace"))
                break
            output += data
            if len(output) > limits.output:
                return Done(-1, output.decode(errors="replace"), "OLE")
        return Done(-1, output.decode(errors="replace"), "TLE")


def wait_for(readers: Sequence[int], deadline: float, writers: Sequence[int] = ()) -> Iterator[int]:
    """The file descriptors that can be read or written, as they come, until the deadline."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        for writer in writers:
            selector.register(writer, selectors.EVENT_WRITE)
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                yield key.fd


def interpreter_folders() -> list[Path]:
    """What Python needs to start: .venv and the installation that it stands on."""
    names = [sys.prefix, sys.base_prefix, os.path.realpath(sys.prefix)]
    return [Path(name) for name in dict.fromkeys(names) if name != "/usr"]


def _limits(limits: Limits) -> list[str]:
    cpu = max(1, round(limits.cpu))
    # Soft below hard: the kernel then says SIGXCPU, which is no crash.
    words = [f"--cpu={cpu}:{cpu + 2}", "--core=0", f"--fsize={limits.file_size}", "--nofile=256"]
    if limits.memory:
        words.append(f"--as={limits.memory}")
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = _own_threads() + SPARE_PROCESSES
    words.append(f"--nproc={wanted if hard < 0 else min(wanted, hard)}")
    return words


def _own_threads() -> int:
    """Threads of this user, which count against the limit of processes."""
    count = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += len(list((entry / "task").iterdir()))
    return count


def _bubblewrap(
    readable: Sequence[Path],
    writable: Sequence[Path],
    cwd: str | None,
    devices: Sequence[Path] = (),
) -> list[str]:
    words = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent"]
    words += ["--new-session", "--clearenv", "--hostname", "box"]
    for name in SYSTEM:
        if Path(name).is_symlink():
            words += ["--symlink", str(Path(name).readlink()), name]
        elif Path(name).exists():
            words += ["--ro-bind", name, name]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in devices:
        words += ["--dev-bind", str(path), str(path)]
    for path in readable:
        words += ["--ro-bind", str(path), str(path)]
    for path in writable:
        words += ["--bind", str(path), str(path)]
    words += ["--remount-ro", "/"]
    return [*words, "--chdir", cwd] if cwd else words


def _sweep(box: str) -> None:
    """Ends what left its session: every process that carries this box in its environment."""
    mark = f"{MARK}={box}".encode()
    for _ in range(20):
        found = False
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                inside = str((entry / "cwd").readlink()) == box
                if inside or mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    found = True
        if not found:
            return


def _path() -> str:
    compiler = shutil.which("c++")
    folders = ["/usr/bin", "/bin", *([str(Path(compiler).parent)] if compiler else [])]
    return os.pathsep.join(dict.fromkeys(folders))


def _tool(name: str) -> str:
    return shutil.which(name) or name
