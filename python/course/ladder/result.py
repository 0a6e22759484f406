"""What a run of one ladder found; it can be written as JSON and read again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import CourseError
from .limits import Limits


@dataclass(frozen=True)
class Line:
    """A rung or a peer: its rate in the ladder's unit, and which part of the limit that is.

    flop_per_byte and flops (FLOP/s) place a rung under the roofline; a peer has neither.
    """

    name: str
    idea: str
    file: str
    threads: int
    turns: int
    seconds: float
    rate: float
    share: float
    flop_per_byte: float | None = None
    flops: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Result:
    """One ladder at one size."""

    ladder: str
    size: int
    unit: str
    limit: str
    limits: Limits
    lines: list[Line]

    @property
    def rungs(self) -> list[Line]:
        """The lines without the peers."""
        return [line for line in self.lines if line.flop_per_byte is not None]


def write(results: list[Result], path: Path) -> None:
    """Writes a JSON list of results."""
    text = json.dumps([asdict(result) for result in results], indent=1) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}.") from None


def read(path: Path) -> list[Result]:
    """What write() wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        Result(**one | {"limits": Limits(**one["limits"]),
                        "lines": [Line(**line) for line in one["lines"]]})
        for one in found
    ]  # fmt: skip
