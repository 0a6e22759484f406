"""Builds the Python package with other bodies in the regions, beside the tree and in seconds.

Only the files that hold changed regions are compiled, from spliced copies, with the commands of
build/release. The module is linked from its own objects and these; they stand before the static
libraries, so that no library member with the same symbols is pulled. Neither the tree nor
build/release is changed. Objects and packages are kept in build/grade, by the hash of what they
were made from.
"""

import ast
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..bootstrap import PROGRAMS
from ..bootstrap.build import build as bring_up_to_date
from ..errors import CourseError
from ..paths import RELEASE, ROOT, VENV
from . import regions, sandbox
from .splice import Spliced, splice

MODULE = PROGRAMS[-1]
CACHE = "grade"
KEPT_PACKAGES = 40
COMPILE_LIMITS = sandbox.Limits(cpu=60, wall=120, memory=3 << 30, file_size=256 << 20)
SANITIZE = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
# What a compile command of build/release says that this one says otherwise.
_DROPPED = re.compile(r"-O\d|-g\d?|-MD|-fdiagnostics-color=\w+|\S*ccache")
_DROPPED_WITH_NEXT = {"-MQ", "-MF", "-o", "-c"}
_OURS = ["-fdiagnostics-color=never", "-fno-diagnostics-show-caret", "-fmax-errors=5"]
_ERROR = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<text>.*)$", re.M
)


@dataclass(frozen=True)
class Fault:
    """A file that does not compile: the compiler's first error in the student's own lines."""

    path: str  # of the file in the tree
    file: str  # where the error is, as the compiler says
    line: int
    text: str


class CompileError(Exception):
    """Some files do not compile."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults[0].text)
        self.faults = faults


@dataclass(frozen=True)
class Package:
    """A folder that holds an importable `needle`."""

    folder: Path
    sources: dict[str, Spliced] = field(default_factory=dict)  # Python files with regions


class Builder:
    """Knows how build/release was made. `jobs`: compilers at a time."""

    def __init__(
        self, root: Path = ROOT, release: Path = RELEASE, cache: Path | None = None, jobs: int = 2
    ) -> None:
        self.root = root
        self.release = release
        self.cache = cache or release.parent / CACHE
        self.cache.mkdir(parents=True, exist_ok=True)
        self.pool = ThreadPoolExecutor(jobs)
        self.regions = regions.scan(root)
        self._dirty = self._check_release()
        database = json.loads((release / "compile_commands.json").read_text(encoding="utf-8"))
        self._units: dict[str, list[dict[str, str]]] = {}
        for entry in database:
            path = (Path(entry["directory"]) / entry["file"]).resolve()
            if path.is_relative_to(root):
                self._units.setdefault(str(path.relative_to(root)), []).append(entry)
        listed = _output([_ninja(), "-C", str(release), "-t", "commands", MODULE])
        self._link = shlex.split(listed.strip().splitlines()[-1])
        self._wanted = set(_output([_ninja(), "-C", str(release), "-t", "inputs", MODULE]).split())
        self._headers = _fingerprint(
            path for path in (root / "needle").rglob("*") if path.suffix in {".h", ".cuh"}
        )

    def package(
        self,
        bodies: Mapping[str, str],
        places: Mapping[str, str] | None = None,
        sanitized: Iterable[str] = (),
    ) -> Package:
        """The package with these bodies; regions that are not named are as in the tree.

        Files in `sanitized` are compiled with ASan and UBSan. Raises CompileError.
        """
        spliced = self._splice(bodies, places or {})
        python = {path: copy for path, copy in spliced.items() if path.endswith(".py")}
        faults = [fault for copy in python.values() if (fault := _syntax(self.root, copy))]
        slow = set(sanitized)
        jobs = [
            (self._compile, copy, entry, path in slow)
            for path, copy in spliced.items()
            if not path.endswith(".py")
            for entry in self._units_of(path)
            if path in slow or entry["output"] in self._dirty or not self._as_in_tree(path, bodies)
        ]
        made = list(self.pool.map(lambda job: job[0](*job[1:]), jobs))
        faults += [result for result in made if isinstance(result, Fault)]
        if faults:
            raise CompileError(faults)
        objects = [str(result) for result in made if isinstance(result, Path)]
        return self._assemble(objects, python, bool(slow))

    # --- what is there ---

    def _check_release(self) -> set[str]:
        """The objects of region files that are old; all other files are brought up to date."""
        pending = self._pending()
        own = {region.path for region in self.regions.values()}
        known = {path.replace("/", "_") for path in own}

        def is_region(output: str) -> bool:
            # needle/libneedle_core.a.p/array_shape.cc.o comes from needle/array/shape.cc.
            parts = output.split("/")
            return f"{parts[0]}_{parts[-1].removesuffix('.o')}" in known

        if pending is None or any(not is_region(output) for output in pending):
            if self.root != ROOT or self.release != RELEASE:
                # The bootstrap builds this program's own tree and no other; it would empty a
                # folder that was made for another.
                raise CourseError(f"{self.release} is not up to date with {self.root}.", status=1)
            bring_up_to_date(self.release, targets=[MODULE])
            pending = self._pending() or set()
        return pending

    def _pending(self) -> set[str] | None:
        """The objects that ninja would compile; None if it cannot say."""
        if not (self.release / "build.ninja").exists():
            return None
        command = [_ninja(), "-C", str(self.release), "-n", MODULE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or "Regenerating" in done.stdout:
            return None
        return set(re.findall(r"Compiling C\+\+ object (\S+)", done.stdout))

    def _units_of(self, path: str) -> list[dict[str, str]]:
        """The compile commands of a file that go into the module: one for each instruction set."""
        entries = self._units.get(path)
        if not entries:
            raise CourseError(f"{path} holds a region but is not compiled into {MODULE}.")
        return [entry for entry in entries if entry["output"] in self._wanted] or entries[:1]

    def _as_in_tree(self, path: str, bodies: Mapping[str, str]) -> bool:
        inside = [region for region in self.regions.values() if region.path == path]
        return all(bodies.get(region.name, region.body) == region.body for region in inside)

    def _splice(self, bodies: Mapping[str, str], places: Mapping[str, str]) -> dict[str, Spliced]:
        paths = dict.fromkeys(region.path for region in self.regions.values())
        return {path: splice(self.root, path, bodies, places) for path in paths}

    # --- making ---

    def _compile(self, copy: Spliced, entry: dict[str, str], sanitized: bool) -> Path | Fault:
        # The precompiled headers are those of a build without sanitizers.
        own = _DROPPED_WITH_NEXT | ({"-include"} if sanitized else set())
        command = _arguments(entry["command"], own) + _OURS
        command += ["-O1", *(SANITIZE if sanitized else ["-g0"])]
        home = self.root / copy.path
        key = _hash(*command, copy.text, self._headers, str(home))
        target = self.cache / "objects" / f"{key}.o"
        if target.exists():
            target.touch()
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as name:
            source = Path(name) / home.name
            source.write_text(copy.text, encoding="utf-8")
            output = Path(name) / "made.o"
            command += ["-iquote", str(home.parent), "-c", str(source), "-o", str(output)]
            # pybind11 and what else the command names lies in .venv.
            readable = [self.root / "needle", self.root / "python", self.release, VENV.resolve()]
            done = sandbox.run(command, self.release, readable, [Path(name)], COMPILE_LIMITS)
            if done.status == 0 and output.exists():
                output.replace(target)
                return target
        if done.stopped:
            return Fault(copy.path, copy.path, 0, f"{done.stopped}: the compiler was stopped")
        match = _ERROR.search(done.output)
        if not match:
            return Fault(
                copy.path, copy.path, 0, done.output.strip()[-300:] or "no object was made"
            )
        return Fault(copy.path, match["file"], int(match["line"]), match["text"])

    def _assemble(self, objects: list[str], python: dict[str, Spliced], sanitized: bool) -> Package:
        link = self._command(objects, sanitized)
        inputs = [self.release / word for word in link if word.endswith((".o", ".a"))]
        texts = [f"{path}\n{copy.text}" for path, copy in sorted(python.items())]
        others = sorted(self._package_files())
        key = _hash(*link, _stamps(inputs), _fingerprint(others), *texts)
        folder = self.cache / f"package-{key}"
        if not folder.exists():
            self._make(folder, link, python, others)
        os.utime(folder)
        self._prune(folder)
        return Package(folder, python)

    def _make(
        self, folder: Path, link: list[str], python: dict[str, Spliced], others: list[Path]
    ) -> None:
        new = Path(tempfile.mkdtemp(dir=self.cache))
        for path in others:
            place = new / path.relative_to(self.root / "python")
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = python.get(str(path.relative_to(self.root)))
            if copy:
                place.write_text(copy.text, encoding="utf-8")
            else:
                shutil.copyfile(path, place)
        module = new / "needle" / Path(MODULE).name
        done = subprocess.run(
            [*link, "-o", str(module)], cwd=self.release, capture_output=True, check=False
        )
        if done.returncode:
            shutil.rmtree(new)
            text = done.stderr.decode(errors="replace").strip()[-600:]
            raise CourseError(f"The module could not be linked: {text}", status=1)
        new.chmod(0o755)
        try:
            new.rename(folder)
        except OSError:  # another thread was first
            shutil.rmtree(new)

    def _command(self, objects: list[str], sanitized: bool) -> list[str]:
        command = list(self._link)
        at = command.index("-o")
        del command[at : at + 2]
        first = next(i for i, word in enumerate(command) if word.startswith("-Wl,--start-group"))
        # Sanitizers name the line; otherwise a module without debug information is written faster.
        command[first:first] = [*objects, *(SANITIZE if sanitized else ["-Wl,-S"])]
        return command

    def _package_files(self) -> list[Path]:
        package = self.root / "python" / "needle"
        return [p for p in package.rglob("*.py") if "__pycache__" not in p.parts]

    def _prune(self, keep: Path) -> None:
        """The packages that were used last are kept."""
        packages = [path for path in self.cache.glob("package-*") if path != keep]
        packages.sort(key=lambda path: path.stat().st_mtime if path.exists() else 0)
        for path in packages[: -KEPT_PACKAGES or None]:
            shutil.rmtree(path, ignore_errors=True)


def _arguments(command: str, dropped_with_next: set[str]) -> list[str]:
    words = shlex.split(command)
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in dropped_with_next:
            skip = True
        elif not _DROPPED.fullmatch(word):
            kept.append(word)
    return kept


def _syntax(root: Path, copy: Spliced) -> Fault | None:
    """Why a Python file would not be read."""
    home = str(root / copy.path)
    try:
        ast.parse(copy.text)
    except SyntaxError as error:
        line = copy.home_line(error.lineno or 1)
        return Fault(copy.path, home, line, f"{type(error).__name__}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return Fault(copy.path, home, 0, f"{type(error).__name__}: {error}")
    return None


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CourseError(f"{' '.join(command)}: {done.stderr.strip()}", status=1)
    return done.stdout


def _ninja() -> str:
    return str(VENV / "bin" / "ninja")


def _hash(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()[:32]


def _fingerprint(paths: Iterable[Path]) -> str:
    return _hash(*(f"{path}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths))


def _stamps(paths: Iterable[Path]) -> str:
    return _hash(*(f"{path}:{path.stat().st_mtime_ns if path.exists() else 0}" for path in paths))
