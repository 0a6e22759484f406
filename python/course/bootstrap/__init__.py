"""Setup before a command: what it needs is installed and built once, then found by a stamp.

Standard library only, because it runs on a bare system's python3 before .venv exists.
"""

import fcntl
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager

from ..paths import BUILD, RELEASE, ROOT, VENV_PYTHON
from . import debian, venv
from .build import build
from .steps import SetupError

# (grade and prove build for themselves: a region may not compile.)
NEED_BUILD = {"demo", "test", "train", "serve", "bench", "ladder"}
# These run the programs alone: the C++ tests need not be compiled for them.
RUN_ONLY = {"demo", "train", "serve", "ladder"}
PROGRAMS = ["needle-serve", f"python/_core{sysconfig.get_config_var('EXT_SUFFIX')}"]
# The Python packages beyond those that every command needs.
NEED = {
    **{"test": "test", "bench": "oracle", "grade": "oracle", "prove": "oracle"},
    **{"ladder": "oracle"},
}
HELP = {"-h", "--help"}


def main(arguments: list[str]) -> int:
    """Sets up for the command in `arguments`, then becomes `.venv/bin/python -m course`."""
    command = next((word for word in arguments if not word.startswith("-")), None)
    try:
        help_only = command is None or bool(HELP & set(arguments))
        if command == "doctor" and not help_only and not venv.ready("base"):
            from ..doctor import main as doctor_of_the_bare_system

            return doctor_of_the_bare_system()
        prepare(command or "", help_only, _targets(command or "", arguments))
    except SetupError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncourse: stopped. The next start goes on from here.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"course: {error.strerror}: {error.filename or ROOT}", file=sys.stderr)
        return 1
    env = dict(os.environ)
    paths = [str(ROOT / "python"), *filter(None, [env.get("PYTHONPATH")])]
    env["PYTHONPATH"] = os.pathsep.join(paths)
    return os.execve(VENV_PYTHON, [str(VENV_PYTHON), "-m", "course", *arguments], env)


def _targets(command: str, arguments: list[str]) -> list[str] | None:
    """What ninja shall build for the command; None: everything."""
    if command not in RUN_ONLY:
        return None
    device = next((word for word in arguments if command == "ladder" and "cuda" in word), "")
    if device.endswith("cuda_sim"):
        return [*PROGRAMS, "cuda/libneedle_cuda_sim.so"]
    return None if device else PROGRAMS


def prepare(command: str, help_only: bool = False, targets: list[str] | None = None) -> None:
    """Installs and builds what this command needs and does not find; help texts need no build."""
    groups = ["base"] + ([NEED[command]] if command in NEED and not help_only else [])
    with _alone():
        for group in groups:
            if not venv.ready(group):
                debian.install({group})
                venv.install(group)
        if command in NEED_BUILD and not help_only:
            build(RELEASE, targets=targets)


@contextmanager
def _alone() -> Iterator[None]:
    """Only one ./course at a time sets up this tree. The lock dies with the process."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".course.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("course: waiting for another ./course to finish its setup", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
