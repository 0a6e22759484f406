"""`./course status`: the map of a learner's way: lessons, homeworks, whose code runs."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import lessons, state
from .homework import bodies, regions, spec
from .paths import ROOT

STYLES = {"mine": "green", "reference": "blue", "starter": "yellow"}


def show(console: Console) -> None:
    """Prints three tables: lessons, homeworks, regions."""
    names = spec.homeworks(ROOT)
    known = {n: region for n, region in regions.scan(ROOT).items() if region.homework in names}
    references = bodies.reference(ROOT, known)
    whose = {name: bodies.origin(region, references) for name, region in known.items()}
    done = state.load()
    if numbers := lessons.numbers():
        console.print(_lessons(numbers, done.get("lessons", {})))
    if names:
        console.print(_homeworks(names, whose, done.get("homeworks", {})))
    table = Table("region", "file", "body", title="Whose code the library runs on")
    for region in sorted(known.values(), key=lambda region: region.homework):
        body = whose[region.name]
        where = f"{region.path}:{region.line}"
        table.add_row(region.name, where, Text(body, style=STYLES[body]))
    console.print(table)
    counts = ", ".join(f"{list(whose.values()).count(kind)} {kind}" for kind in STYLES)
    console.print(f"{len(known)} regions: {counts}", highlight=False)


def _lessons(numbers: list[int], done: dict[str, dict[str, str]]) -> Table:
    table = Table("lesson", "read", "checks right", title="Lessons")
    for number in numbers:
        entry = done.get(str(number), {})
        name = lessons.folder(number).name
        table.add_row(name, entry.get("read", "-"), entry.get("checked", "-"))
    return table


def _homeworks(
    names: list[str], whose: dict[str, str], done: dict[str, dict[str, object]]
) -> Table:
    table = Table("homework", "title", "state", "points", title="Homeworks")
    for name in names:
        homework = spec.load(ROOT, name)
        kinds = {whose.get(region, "missing") for region in homework.regions}
        entry = done.get(name)
        points = f"{entry['points']}/{entry['of']}" if entry else f"-/{homework.points}"
        table.add_row(name, homework.title, "locked" if kinds == {"reference"} else "open", points)
    return table
