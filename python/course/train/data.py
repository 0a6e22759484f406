"""The text: split, tokenised, and cut into batches as a pure function of seed and step."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CourseError

HELD_OUT_PART = 20  # one twentieth, the last 5% of the bytes
SMALLEST_TEXT = 2000  # bytes


def read_text(path: Path) -> bytes:
    """The bytes of a text file, or a CourseError that says what is wrong with it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CourseError(f"Cannot read the text {path}: {error.strerror}.") from None
    if len(text) < SMALLEST_TEXT:
        raise CourseError(
            f"The text {path} has {len(text)} bytes; at least {SMALLEST_TEXT} are needed."
        )
    return text


def is_utf8(text: bytes) -> bool:
    """Whether the bytes are well-formed UTF-8."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def digest(text: bytes) -> str:
    """SHA-256 in hexadecimal: how a resumed run knows its text."""
    return hashlib.sha256(text).hexdigest()


def split(text: bytes) -> tuple[bytes, bytes]:
    """Training part and held-out part, the last 5% of the bytes.

    The cut moves forward by at most three bytes, so as not to fall inside a UTF-8 character.
    """
    cut = len(text) - len(text) // HELD_OUT_PART
    for _ in range(3):
        if cut < len(text) and text[cut] & 0xC0 == 0x80:
            cut += 1
    return text[:cut], text[cut:]


@dataclass(frozen=True)
class Batches:
    """Training windows. Each epoch is a new permutation of the text cut at a new offset.

    `at(step)` depends on the seed and the step alone, so a resumed run needs no replay.
    """

    tokens: np.ndarray  # (n,) int64
    seq: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise CourseError(
                f"The training part gives {len(self.tokens)} tokens; a window needs "
                f"{2 * self.seq + 1}. Take a longer text or a smaller --seq."
            )

    @property
    def windows(self) -> int:
        """Windows in an epoch; one window's length is kept free for the offset."""
        return (len(self.tokens) - 1 - self.seq) // self.seq

    def at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a step, both (batch, seq) int64; targets are one token later."""
        starts = [self._start(step * self.batch + i) for i in range(self.batch)]
        windows = np.stack([self.tokens[start : start + self.seq + 1] for start in starts])
        return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])

    def _start(self, example: int) -> int:
        epoch, place = divmod(example, self.windows)
        offset, order = _epoch(self.seed, epoch, self.windows, self.seq)
        return offset + int(order[place]) * self.seq


_last_epochs: dict[tuple[int, int, int, int], tuple[int, np.ndarray]] = {}


def _epoch(seed: int, epoch: int, windows: int, seq: int) -> tuple[int, np.ndarray]:
    """Offset and order of an epoch. The two last ones are remembered: a batch may span two."""
    key = (seed, epoch, windows, seq)
    if key not in _last_epochs:
        random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        if len(_last_epochs) >= 2:
            _last_epochs.pop(next(iter(_last_epochs)))
        _last_epochs[key] = int(random.integers(0, seq)), random.permutation(windows)
    return _last_epochs[key]
