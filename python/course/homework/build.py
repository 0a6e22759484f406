"""Builds the Python package with other bodies in the regions, beside the tree and in seconds.

Only what was compiled from files with changed regions is compiled, from spliced copies, with the
commands of build/release; so are the kernels of the simulator's library, where a homework has such,
and, where there is a GPU, those for it.
Neither the tree nor build/release is changed. Objects and packages are kept in build/grade, by the
hash of what they were made from.
"""

import ast
import hashlib
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

from ..bootstrap.build import build as bring_up_to_date
from ..bootstrap.steps import SetupError
from ..errors import CourseError
from ..paths import RELEASE, ROOT, VENV
from . import regions, sandbox
from .splice import Spliced, splice
from .units import GPU_LIBRARY, MODULE, SIMULATOR, Library, Release, Unit

CACHE = "grade"
KEPT_PACKAGES = 40
COMPILE_LIMITS = sandbox.Limits(cpu=60, wall=120, memory=3 << 30, file_size=256 << 20)
NVCC_LIMITS = sandbox.Limits(cpu=600, wall=900, memory=None, file_size=256 << 20)
SANITIZE = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
# What a compile command of build/release says that this one says otherwise.
_DROPPED = re.compile(r"-MD|-fdiagnostics-color=\w+|\S*ccache")
_QUICK = re.compile(r"-O\d|-g\d?")  # not of kernels
_DROPPED_WITH_NEXT = {"-MQ", "-MF", "-o", "-c"}
_OURS = ["-fdiagnostics-color=never", "-fno-diagnostics-show-caret", "-fmax-errors=5"]
_ERROR = re.compile(
    r"^(?P<file>[^:(\n]+)[:(](?P<line>\d+)\)?:(?:\d+:)? (?:fatal )?error: (?P<text>.*)$", re.M
)
# Above an error in a template of a header: who asked for it, and with which types.
_ASKED = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)? +required from (?:.*(?P<types>\[with .*\]))?", re.M
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
    """Knows how build/release was made. `jobs`: compilers at a time; `simulator`: whether packages
    have the device cuda_sim, and regions in cuda/ are compiled; `gpu`: a build folder with a
    library for GPUs, which packages then have, too."""

    def __init__(
        self,
        root: Path = ROOT,
        release: Path = RELEASE,
        cache: Path | None = None,
        jobs: int = 2,
        simulator: bool = False,
        gpu: Path | None = None,
    ) -> None:
        self.root = root
        self.has_gpu = gpu is not None
        self.release = Release(root, release, [MODULE, *([SIMULATOR] if simulator else [])])
        releases = [self.release, *([Release(root, gpu, [GPU_LIBRARY])] if gpu else [])]
        self.cache = cache or release.parent / CACHE
        self.cache.mkdir(parents=True, exist_ok=True)
        self.pool = ThreadPoolExecutor(jobs)
        self.regions = regions.scan(root)
        paths = dict.fromkeys(region.path for region in self.regions.values())
        self._dirty: set[str] = set()
        self._libraries: list[Library] = []
        self._units: dict[str, list[Unit]] = {}
        for made in releases:
            self._dirty |= self._check_release(made, paths)
            self._libraries += made.libraries()
            self._units |= made.units(paths)
        known = {path for units in self._units.values() for unit in units for path in unit.paths}
        for path in paths:
            if path not in known and not path.endswith(".py") and not path.startswith("cuda/"):
                raise CourseError(f"{path} holds a region but is not compiled into {MODULE}.")
        self._headers = _fingerprint(
            path
            for folder in ("needle", "cuda")
            for path in sorted((root / folder).rglob("*"))
            if path.suffix in {".h", ".cuh", ".cu"} and str(path.relative_to(root)) not in paths
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
        changed = {path for path in spliced if not self._as_in_tree(path, bodies)}
        made: dict[str, dict[str, Path]] = {}
        for library, units in self._units.items():
            wanted = [
                unit
                for unit in units
                if slow & {*unit.paths} or changed & {*unit.paths} or unit.output in self._dirty
            ]
            results = self.pool.map(lambda unit: self._compile(unit, spliced, slow), wanted)
            made[library] = {}
            for unit, result in zip(wanted, results, strict=True):
                if isinstance(result, Fault):
                    faults.append(result)
                else:
                    made[library][unit.output] = result
        if faults:
            raise CompileError(faults)
        return self._assemble(made, python, bool(slow))

    # --- what is there ---

    def _check_release(self, release: Release, paths: Iterable[str]) -> set[str]:
        """The old objects of files with regions; all others are brought up to date."""
        pending = release.pending()
        if pending is None or not pending <= release.users(paths).keys():
            if self.root != ROOT or release.folder != RELEASE:
                # The bootstrap builds this program's own tree and no other; it would empty a
                # folder that was made for another.
                raise CourseError(f"{release.folder} is not up to date with {self.root}.", status=1)
            try:
                bring_up_to_date(RELEASE, targets=list(release.targets), keep_going=True)
            except SetupError:  # of a region alone: then a question says so
                pending = release.pending()
                if pending is None or not pending <= release.users(paths).keys():
                    raise
            pending = release.pending() or set()
        return pending

    def _as_in_tree(self, path: str, bodies: Mapping[str, str]) -> bool:
        inside = [region for region in self.regions.values() if region.path == path]
        return all(bodies.get(region.name, region.body) == region.body for region in inside)

    def _splice(self, bodies: Mapping[str, str], places: Mapping[str, str]) -> dict[str, Spliced]:
        paths = dict.fromkeys(region.path for region in self.regions.values())
        return {path: splice(self.root, path, bodies, places) for path in paths}

    # --- making ---

    def _compile(self, unit: Unit, spliced: dict[str, Spliced], slow: set[str]) -> Path | Fault:
        sanitized = bool(slow & {*unit.paths})
        # The precompiled headers are those of a build without sanitizers.
        own = _DROPPED_WITH_NEXT | ({"-include"} if sanitized else set())
        command = _arguments(unit.command, own, unit.is_kernel and not sanitized)
        command += [] if unit.is_for_gpu else _OURS
        if sanitized:
            command += ["-O1", *SANITIZE]
        elif not unit.is_kernel:
            command += ["-O1", "-g0"]
        copies = [spliced[path] for path in unit.paths]
        texts = [copy.text for copy in copies]
        key = _hash(*command, *texts, self._headers, _fingerprint([unit.source]))
        target = self.cache / "objects" / f"{key}.o"
        if target.exists():
            target.touch()
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as name:
            overlay, output, source = Path(name) / "tree", Path(name) / "made.o", unit.source
            for copy in copies:
                place = overlay / copy.path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(copy.text, encoding="utf-8")
                if (self.root / copy.path).samefile(unit.source):
                    source = place
            # What is included from the tree comes from the copies first.
            for folder in (overlay, unit.source.parent):
                first = ["-iquote", str(folder)]
                command += [f"-Xcompiler={','.join(first)}"] if unit.is_for_gpu else first
            command += ["-c", str(source), "-o", str(output)]
            # pybind11 and what else the command names lies in .venv.
            folders = [self.root / folder for folder in ("needle", "python", "cuda")]
            readable = [*folders, unit.folder, VENV.resolve()]
            limits = NVCC_LIMITS if unit.is_for_gpu else COMPILE_LIMITS
            done = sandbox.run(command, unit.folder, readable, [Path(name)], limits)
            if done.status == 0 and output.exists():
                output.replace(target)
                return target
        if done.stopped:
            path = copies[0].path
            return Fault(path, path, 0, f"{done.stopped}: the compiler was stopped")
        return self._fault(unit, copies, done.output)

    def _fault(self, unit: Unit, copies: list[Spliced], said: str) -> Fault:
        """The first error, and in which of the files with regions it is."""
        match = _ERROR.search(said)
        if not match:
            path = unit.paths[0]
            return Fault(path, path, 0, said.strip()[-300:] or "no object was made")
        for place in [match, *_ASKED.finditer(said, 0, match.start())]:
            line = f'"{place["file"]}"\n'  # a #line names it
            if path := next((copy.path for copy in copies if line in copy.text), None):
                types = f" {place['types']}" if place.re is _ASKED and place["types"] else ""
                return Fault(path, place["file"], int(place["line"]), match["text"] + types)
        return Fault(unit.paths[0], match["file"], int(match["line"]), match["text"])

    def _assemble(
        self, made: dict[str, dict[str, Path]], python: dict[str, Spliced], sanitized: bool
    ) -> Package:
        # Sanitizers name the line; otherwise a module without debug information is written faster.
        more = {MODULE: SANITIZE if sanitized else ["-Wl,-S"]}
        output = Path("output")
        commands = [
            library.command(made[library.target], more.get(library.target, []), output)
            for library in self._libraries
        ]
        inputs = {
            library.folder / word
            for library, command in zip(self._libraries, commands, strict=True)
            for word in command
            if word.endswith((".o", ".a"))
        }
        texts = [f"{path}\n{copy.text}" for path, copy in sorted(python.items())]
        others = sorted(self._package_files())
        stamps = _stamps(sorted(inputs))
        key = _hash(*(w for c in commands for w in c), stamps, _fingerprint(others), *texts)
        place = self.cache / f"package-{key}"
        if not place.exists():
            new = Path(tempfile.mkdtemp(dir=self.cache))
            try:
                self._copy_python(new, python, others)
                for library in self._libraries:
                    self._link(new, library, made[library.target], more.get(library.target, []))
                new.chmod(0o755)
                new.rename(place)
            except OSError:  # another thread was first
                shutil.rmtree(new)
            except CourseError:
                shutil.rmtree(new)
                raise
        os.utime(place)
        self._prune(place)
        return Package(place, python)

    def _copy_python(self, new: Path, python: dict[str, Spliced], others: list[Path]) -> None:
        for path in others:
            place = new / path.relative_to(self.root / "python")
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = python.get(str(path.relative_to(self.root)))
            if copy:
                place.write_text(copy.text, encoding="utf-8")
            else:
                shutil.copyfile(path, place)

    def _link(self, new: Path, library: Library, made: dict[str, Path], more: list[str]) -> None:
        output = new / "needle" / Path(library.target).name
        if not made:  # as it is; ninja will put a new file there, not change this one
            os.link(library.folder / library.target, output)
            return
        done = subprocess.run(
            library.command(made, more, output),
            cwd=library.folder,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()[-600:]
            raise CourseError(f"{output.name} could not be linked: {text}", status=1)

    def _package_files(self) -> list[Path]:
        package = self.root / "python" / "needle"
        return [p for p in package.rglob("*.py") if "__pycache__" not in p.parts]

    def _prune(self, keep: Path) -> None:
        """The packages that were used last are kept."""
        packages = [path for path in self.cache.glob("package-*") if path != keep]
        packages.sort(key=lambda path: path.stat().st_mtime if path.exists() else 0)
        for path in packages[: -KEPT_PACKAGES or None]:
            shutil.rmtree(path, ignore_errors=True)


def _arguments(command: str, dropped_with_next: set[str], as_it_is: bool) -> list[str]:
    words = shlex.split(command)
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in dropped_with_next:
            skip = True
        elif not _DROPPED.fullmatch(word) and (as_it_is or not _QUICK.fullmatch(word)):
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


def _hash(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode(errors="surrogatepass") + b"\0")
    return digest.hexdigest()[:32]


def _fingerprint(paths: Iterable[Path]) -> str:
    return _hash(*(f"{path}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths))


def _stamps(paths: Iterable[Path]) -> str:
    return _hash(*(f"{path}:{path.stat().st_mtime_ns if path.exists() else 0}" for path in paths))
