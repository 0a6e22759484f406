"""Where bodies come from: the learner's own, the reference's, the starter's; and swapping them.

.course/mine/hw1.reshape.cc        the learner's body while the reference is in the tree
.course/reference/hw1.reshape.cc   the reference's, since `unlock` took it out of the tree
homework/solutions/                in a student edition: solutions that came with it
git HEAD                           the reference in a full clone
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import state
from ..errors import CourseError
from . import regions
from .regions import Region

RELEASE_FILE = "release.toml"
SOLUTIONS = "homework/solutions"


def is_release(root: Path) -> bool:
    """Whether this tree is a student edition, in which solutions were left out."""
    return (root / RELEASE_FILE).exists()


def reference(root: Path, known: dict[str, Region]) -> dict[str, str]:
    """The reference bodies that can be had here, by region."""
    found = {} if is_release(root) else _from_head(root, known)
    for folder in [root / SOLUTIONS, state.folder(root) / "reference"]:
        for region in known.values():
            path = folder / f"{region.name}{region.suffix}"
            if path.is_file():
                found[region.name] = regions.clean(path.read_bytes(), path.name)
    return found


def origin(region: Region, references: dict[str, str]) -> str:
    """Whose body stands in the tree: "starter", "reference" or "mine"."""
    if region.is_starter:
        return "starter"
    return "reference" if references.get(region.name) == region.body else "mine"


def select(known: dict[str, Region], what: str) -> list[Region]:
    """The regions that `hw1` or `hw1.reshape` names. CourseError if there are none."""
    regions.homework_number(what)
    chosen = [r for r in known.values() if what in {r.name, r.homework}]
    if not chosen:
        names = sorted({r.homework for r in known.values()})
        if "." in what:
            names = [
                r.name for r in known.values() if r.homework == what.partition(".")[0]
            ] or names
        raise CourseError(
            f"There is no region of {what} in this tree; there is: {' '.join(names)}."
        )
    return chosen


def use(root: Path, what: str, whose: str) -> list[str]:
    """Puts the learner's own or the reference's bodies into the tree; gives a line for each."""
    if whose not in {"mine", "reference"}:
        raise CourseError(f"Use whose body: mine, reference, or a submission's zip, not {whose!r}.")
    known = regions.scan(root)
    chosen = select(known, what)
    references = reference(root, known)
    missing = [r.name for r in chosen if r.name not in references]
    if whose == "reference" and missing:
        raise CourseError(
            f"The reference of {', '.join(missing)} is not here: "
            + (
                "the student edition was made without it. "
                f"`./course use {what} FILE.zip` takes a submission of your own."
                if is_release(root)
                else "git HEAD does not hold it; `git log` knows an older commit that does."
            )
        )
    _keep_mine(root, chosen, references)
    bodies: dict[str, str] = {}
    said: list[str] = []
    for region in chosen:
        if whose == "reference":
            bodies[region.name] = references[region.name]
        elif origin(region, references) == "reference":
            bodies[region.name] = _mine(root, region) or region.starter
        before = origin(region, references)
        now = before
        if body := bodies.get(region.name):
            is_starter = regions.is_starter(body, region.name, region.suffix)
            now = "starter" if is_starter else whose
        said.append(f"{region.name}: {now}" + ("" if now != before else " (as before)"))
    _keep_reference(root, chosen, references)
    regions.write(root, bodies)
    return said


def bring(root: Path, what: str, brought: Mapping[str, str]) -> list[str]:
    """Puts bodies that the learner wrote elsewhere into the tree; gives a line for each region.

    They take the place of starters and of the reference. What was written here stays.
    """
    known = regions.scan(root)
    chosen = select(known, what)
    references = reference(root, known)
    bodies: dict[str, str] = {}
    said: list[str] = []
    for region in chosen:
        now = origin(region, references)
        own = region.body if now == "mine" else _mine(root, region)
        body = brought.get(region.name)
        if body is None or regions.is_starter(body, region.name, region.suffix):
            said.append(f"{region.name}: {now} (not written in the zip)")
        elif own not in {None, body}:
            said.append(f"{region.name}: {now} (yours here stays; the zip's is another)")
        else:
            bodies[region.name] = body
            said.append(f"{region.name}: mine")
    _keep_reference(root, chosen, references)
    regions.write(root, bodies)
    return said


def open_regions(root: Path, names: Iterable[str]) -> list[str]:
    """Takes the reference out of these regions and leaves the starter; gives their names.

    The reference is kept in .course/reference. A region that the learner has begun stays.
    """
    known = regions.scan(root)
    chosen = [known[name] for name in names if name in known]
    references = reference(root, known)
    ours = [r for r in chosen if origin(r, references) == "reference"]
    _keep_reference(root, ours, references)
    regions.write(root, {r.name: r.starter for r in ours})
    return [r.name for r in ours]


def _keep_mine(root: Path, chosen: list[Region], references: dict[str, str]) -> None:
    for region in chosen:
        if origin(region, references) == "mine":
            _store(state.folder(root) / "mine", region, region.body)


def _keep_reference(root: Path, chosen: list[Region], references: dict[str, str]) -> None:
    """From now on the learner's bodies may be committed; HEAD is no longer a safe place."""
    for region in chosen:
        if region.name in references and not is_release(root):
            _store(state.folder(root) / "reference", region, references[region.name])


def _mine(root: Path, region: Region) -> str | None:
    path = state.folder(root) / "mine" / f"{region.name}{region.suffix}"
    return regions.clean(path.read_bytes(), path.name) if path.is_file() else None


def _store(folder: Path, region: Region, body: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{region.name}{region.suffix}").write_text(body, encoding="utf-8")


def _from_head(root: Path, known: dict[str, Region]) -> dict[str, str]:
    """The bodies of git HEAD that are not starters, if the tree is a clone of its own."""
    if not (root / ".git").exists():
        return {}
    found: dict[str, str] = {}
    for path in dict.fromkeys(region.path for region in known.values()):
        shown = subprocess.run(
            ["git", "show", f"HEAD:{path}"], cwd=root, capture_output=True, check=False
        )
        if shown.returncode != 0:
            continue
        try:
            committed = regions.parse(regions.clean(shown.stdout, path), path)
        except regions.RegionError:
            continue
        found |= {r.name: r.body for r in committed if r.name in known and not r.is_starter}
    return found
