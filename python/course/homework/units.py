"""What build/release says: how each object is compiled, what it includes, and what links it."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..bootstrap import PROGRAMS
from ..errors import CourseError
from ..paths import VENV

MODULE = PROGRAMS[-1]
SIMULATOR = "cuda/libneedle_cuda_sim.so"
GPU_LIBRARY = "cuda/libneedle_cuda.so"
_ARCHIVES = {"-Wl,--start-group", "-Wl,--whole-archive"}  # begin with one of these
_OBJECT = re.compile(r"^(\S+\.o): #deps")


@dataclass(frozen=True)
class Unit:
    """An object that is made of one or more files with regions."""

    output: str  # needle/libneedle_core.a.p/array_shape.cc.o
    folder: Path  # where the command is run
    source: Path
    command: str
    paths: tuple[str, ...]  # of those files, as in the tree

    @property
    def is_for_gpu(self) -> bool:
        """Whether nvcc compiles it."""
        return self.output.endswith(".cu.o")

    @property
    def is_kernel(self) -> bool:
        """Whether its speed is graded, or what the simulator counts: compiled as in the release."""
        marks = ("-DNEEDLE_ISA=", "-fsanitize=thread")
        return self.is_for_gpu or any(mark in self.command for mark in marks)


@dataclass(frozen=True)
class Library:
    """A shared library, and the command that links it."""

    target: str
    folder: Path  # where it lies, and where it is linked
    link: tuple[str, ...]
    objects: frozenset[str]  # those that others can take the place of

    def command(self, made: dict[str, Path], more: Iterable[str], output: Path) -> list[str]:
        """The link with other objects. They stand before the archives: of two members with the
        same symbols, the linker takes the first."""
        words = [str(made.get(word, word)) for word in self.link]
        at = words.index("-o")
        words[at + 1] = str(output)
        first = next((i for i, word in enumerate(words) if word in _ARCHIVES), len(words))
        words[first:first] = [str(path) for name, path in made.items() if name not in self.link]
        return [*words, *more]


class Release:
    """A build folder. `targets`: the libraries of it that are of interest."""

    def __init__(self, root: Path, folder: Path, targets: Iterable[str]) -> None:
        self.root = root
        self.folder = folder
        self.targets = tuple(targets)

    def pending(self) -> set[str] | None:
        """The objects that ninja would compile; None if it cannot say."""
        if not (self.folder / "build.ninja").exists():
            return None
        done = subprocess.run(
            [ninja(), "-C", str(self.folder), "-n", *self.targets],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or "Regenerating" in done.stdout:
            return None
        return set(re.findall(r"(?:Compiling C\+\+ object|Generating) (\S+\.o)\b", done.stdout))

    def users(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """For each object that was compiled from any of these files of the tree: which of them."""
        up = os.path.relpath(self.root, self.folder)
        names = {f"    {up}/{path}": path for path in paths}
        found: dict[str, tuple[str, ...]] = {}
        output = ""
        for line in self._ask("deps").splitlines():
            if match := _OBJECT.match(line):
                output = match[1]
            elif path := names.get(line):
                found[output] = (*found.get(output, ()), path)
        return found

    def units(self, paths: Iterable[str]) -> dict[str, list[Unit]]:
        """By library, the objects in it that were compiled from any of these files."""
        text = (self.folder / "compile_commands.json").read_text(encoding="utf-8")
        commands = {entry["output"]: entry["command"] for entry in json.loads(text)}
        users = self.users(paths)
        return {
            library.target: [
                self._unit(name, commands.get(name), users[name])
                for name in sorted(library.objects & users.keys())
                if name in commands or name.endswith(".cu.o")
            ]
            for library in self.libraries()
        }

    def _unit(self, name: str, command: str | None, paths: tuple[str, ...]) -> Unit:
        """What nvcc compiles is not among the compile commands."""
        command = command or self._ask("commands", name).strip().splitlines()[-1]
        words = shlex.split(command)
        source = self.folder / words[words.index("-c") + 1]
        return Unit(name, self.folder, source, command, paths)

    def libraries(self) -> list[Library]:
        """The targets as they are linked."""
        return [self._library(target) for target in self.targets]

    def _library(self, target: str) -> Library:
        link = tuple(shlex.split(self._ask("commands", target).strip().splitlines()[-1]))
        inputs = set(self._ask("inputs", target).split())
        # What is linked whole cannot be replaced: there would be two of everything.
        whole: set[str] = set()
        inside = False
        for word in link:
            inside = word == "-Wl,--whole-archive" or (inside and word != "-Wl,--no-whole-archive")
            whole |= {word} if inside else set()
        objects = {name for name in inputs if name.endswith(".o")}
        objects = {name for name in objects if f"{name.split('.p/')[0]}" not in whole}
        return Library(target, self.folder, link, frozenset(objects))

    def _ask(self, tool: str, *arguments: str) -> str:
        command = [ninja(), "-C", str(self.folder), "-t", tool, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CourseError(f"{' '.join(command)}: {done.stderr.strip()}", status=1)
        return done.stdout


def ninja() -> str:
    """The build tool of .venv."""
    return str(VENV / "bin" / "ninja")
