"""What a run of a ladder on a GPU found; it can be written as JSON and read again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import CourseError


@dataclass(frozen=True)
class TimedRung:
    """A rung or a peer: its rate in the ladder's unit, and which part of the limit that is."""

    name: str
    idea: str
    file: str
    seconds: float
    rate: float
    share: float


@dataclass(frozen=True)
class Timed:
    """One ladder at one size on one GPU. `limit` names the line that the shares are of."""

    ladder: str
    size: int
    unit: str
    gpu: str
    limit: str
    lines: list[TimedRung]


def write(results: list[Timed], path: Path) -> None:
    """Writes a JSON list of results."""
    text = json.dumps([asdict(result) for result in results], indent=1) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}.") from None


def read(path: Path) -> list[Timed]:
    """What write() wrote."""
    return [
        Timed(**one | {"lines": [TimedRung(**line) for line in one["lines"]]})
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]
