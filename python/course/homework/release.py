"""`./course release`: the student edition, a fresh tree without the solutions that are not due."""

import io
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from .. import state
from ..errors import CourseError
from . import bodies, leaks, regions, spec
from .regions import Region

SHOWN_LEAKS = 10
ALWAYS_LEFT_OUT = ["homework/*/hidden/*", "homework/*/mutants/*", "tests/lessons/*"]


def release(root: Path, homework: str, out: Path, closed: Iterable[str] = ()) -> list[str]:
    """Writes the student edition of a homework to `out`; gives the names of the open regions.

    Taken from git HEAD. The bodies of the homework and of all later ones are replaced by the
    starter, and so are those of the earlier ones that `closed` names; the other earlier ones hold
    the reference: nobody needs them for this one. Regions of later ones that the library cannot do
    without hold their `plain` body, right but slow. Raises CourseError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CourseError(f"{out} is not empty; a release goes into a new folder.")
    if bodies.is_release(root):
        raise CourseError("This is a student edition; a release is made from the full tree.")
    if not (root / ".git").exists():
        raise CourseError(f"{root} is no git clone; a release is made of what git HEAD holds.")
    regions.homework_number(homework)
    closed = list(closed)
    for name in closed:
        if regions.homework_number(name) >= regions.homework_number(homework):
            raise CourseError(
                f"--without-solutions {name}: those of {homework} and later always stay closed."
            )
    made = not out.exists()
    try:
        _unpack(root, out)
        known = regions.scan(out)
        names = {region.homework for region in known.values()}
        for name in [homework, *closed]:
            if name not in names:
                here = ", ".join(sorted(names)) or "none"
                raise CourseError(f"There are no regions of {name} in this tree; there is: {here}.")
        given = {name for name in names - set(closed) if _is_later(homework, name)}
        stripped = {n: r for n, r in known.items() if r.homework not in given}
        if already := [n for n, r in stripped.items() if r.is_starter]:
            raise CourseError(f"git HEAD holds no solution of {', '.join(already)}.")
        bodies_left = {n: r.starter for n, r in stripped.items()} | _plain(out, homework, known)
        _strip(out, homework, known, bodies_left)
        _check(out, stripped)
    except BaseException:
        for path in [out] if made else list(out.iterdir()) if out.exists() else []:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(True)
        raise
    return [name for name, region in stripped.items() if bodies_left[name] == region.starter]


def _is_later(name: str, homework: str) -> bool:
    return regions.homework_number(name) > regions.homework_number(homework)


def _plain(out: Path, homework: str, known: dict[str, Region]) -> dict[str, str]:
    """Bodies for the regions of later homeworks that say how to do without the solution."""
    found: dict[str, str] = {}
    for name in spec.homeworks(out):
        if not _is_later(name, homework):
            continue
        later = spec.load(out, name)
        for question in later.questions:
            region = known[question.regions[0]]
            path = later.folder / "mutants" / f"{question.id}.{question.plain}{region.suffix}"
            if question.plain:
                found[region.name] = regions.clean(path.read_bytes(), path.name)
    return found


def uncommitted(root: Path) -> bool:
    """Whether the working tree holds changes that git HEAD, and so the release, does not."""
    command = ["git", "status", "--porcelain", "--untracked-files=no"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    return bool(done.stdout.strip())


def _unpack(root: Path, out: Path) -> None:
    packed = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=root, capture_output=True, check=False
    )
    if packed.returncode:
        raise CourseError(f"git archive: {packed.stderr.decode(errors='replace').strip()}", 1)
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(out, filter="data")


def _strip(out: Path, homework: str, known: dict[str, Region], left: dict[str, str]) -> None:
    later = [name for name in spec.homeworks(out) if _is_later(name, homework)]
    patterns = [*ALWAYS_LEFT_OUT, *_told(out, "leave_out"), *(f"homework/{n}/*" for n in later)]
    for path in sorted(out.rglob("*"), reverse=True):
        name = str(path.relative_to(out))
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif any(fnmatch(name, pattern) for pattern in patterns):
            path.unlink()
    regions.write(out, left)
    for region in known.values():
        if region.name not in left:
            place = out / bodies.SOLUTIONS / f"{region.name}{region.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(region.body, encoding="utf-8")
    solved = sorted({r.homework for r in known.values()} - {known[name].homework for name in left})
    lines = [
        "# This tree is a student edition: solutions that are not due were left out.",
        f'homework = "{homework}"',
        f'made = "{state.today()}"',
        f"with_solutions = {solved}".replace("'", '"'),
    ]
    (out / bodies.RELEASE_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _told(out: Path, key: str) -> list[str]:
    """A list of lessons/course.toml, [release]: files to leave out, idioms that are no leak."""
    path = out / "lessons" / "course.toml"
    if not path.is_file():
        return []
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return [str(pattern) for pattern in table.get("release", {}).get(key, [])]


def _check(out: Path, stripped: dict[str, Region]) -> None:
    """The leak scan; CourseError says where a piece of a solution still stands."""
    kept = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and path.suffix in regions.SUFFIXES
        and str(path.relative_to(out)).startswith(leaks.LIBRARY)
    ]
    kept += _told(out, "idioms")
    wanted = leaks.secrets({name: region.body for name, region in stripped.items()}, kept)
    found = leaks.scan(out, wanted)
    if found:
        lines = [f"    {leak}" for leak in found[:SHOWN_LEAKS]]
        more = f"\n    and {len(found) - SHOWN_LEAKS} more" if len(found) > SHOWN_LEAKS else ""
        raise CourseError(
            "Pieces of solutions stand outside of their regions; nothing was released:\n"
            + "\n".join(lines)
            + more,
            status=1,
        )
