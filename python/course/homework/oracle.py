"""The side that knows the answers: cases, expectations, tolerances. Never in the student's process.

homework/hwN/oracle.py (and hidden/oracle.py, where it is there) defines, by question id, and with
the help of other modules of its folder,

    CASES      generator(rng) of args, small to large; a case may name its "group" (see `partial`)
    EXPECT     f(args) -> list of arrays, or the class of the exception that is right;
               hidden/oracle.py may leave it to oracle.py
    TOLERANCE  optional: (rtol, atol)
    JUDGE      optional: f(args, got) -> None, or a sentence on what is wrong, or a Difference
"""

import contextlib
import functools
import importlib
import sys
import threading
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CourseError
from ..paths import shown

TABLES = ["CASES", "EXPECT", "TOLERANCE", "JUDGE"]
# Of the largest element, so that sums of cancelling terms are not asked for too much; the second
# number is for arrays that should be zero.
DEFAULT = {"float16": (1e-2, 1e-4), "float32": (1e-4, 1e-7), "float64": (1e-9, 1e-13)}
GROUP = "group"
LINE = 76


class OracleError(Exception):
    """The grader's own part is broken: IE, never a zero."""


@dataclass(frozen=True)
class Case:
    """One input with what is expected for it."""

    args: dict[str, Any]
    group: str
    hidden: bool
    expected: list[np.ndarray] | None  # None: only JUDGE knows
    error: str = ""  # the exception that is expected instead of arrays

    @property
    def expected_bytes(self) -> int:
        """How large a right answer is."""
        return sum(array.nbytes for array in self.expected or [])


@dataclass(frozen=True)
class Difference:
    """What is wrong with an answer: a sentence, and two texts for a table."""

    text: str
    expected: str = ""
    got: str = ""


class Oracle:
    """Cases and expectations of a homework."""

    def __init__(self, folder: Path, seed: int, secret: int | None = None) -> None:
        self.has_hidden = (folder / "hidden" / "oracle.py").is_file()
        self._folder = folder
        self._seeds = (seed, seed if secret is None else secret)
        self._cases: dict[str, list[Case]] = {}
        self._lock = threading.Lock()
        # PyTorch takes seconds to load: a compiler can run meanwhile.
        threading.Thread(target=self._load_quietly, daemon=True).start()

    @functools.cached_property
    def _public(self) -> dict[str, Any]:
        return _load(self._folder, "oracle")

    @functools.cached_property
    def _own(self) -> dict[str, Any]:
        if not self.has_hidden:
            return {table: {} for table in TABLES}
        return _load(self._folder, "hidden.oracle")

    @functools.cached_property
    def _hidden(self) -> dict[str, Any]:
        """What hidden/oracle.py does not say holds as in oracle.py; its cases are its own."""
        return {table: self._public[table] | self._own[table] for table in TABLES}

    def _load_quietly(self) -> None:
        with contextlib.suppress(CourseError):  # whoever asks first is told
            _ = self._hidden

    def cases(self, question: str) -> list[Case]:
        """The public cases; then, where they are at hand, the hidden ones. Raises OracleError.

        Those are the public ones with the secret seed, and the hidden oracle's own. They are made
        once: `prove` asks for them again with every mutant.
        """
        with self._lock:
            if question not in self._cases:
                self._cases[question] = list(self._make(question))
            return self._cases[question]

    def _make(self, question: str) -> Iterator[Case]:
        public, own = self._public["CASES"].get(question), self._own["CASES"].get(question)
        if public is None and own is None:
            raise OracleError(f"oracle.py has no CASES for {question}")
        if public:
            yield from self._of(question, False, self._public, public)
        if public and self.has_hidden:
            yield from self._of(question, True, self._hidden, public)
        if own:
            yield from self._of(question, True, self._hidden, own)

    def _of(
        self, question: str, hidden: bool, tables: dict[str, Any], generate: Callable[..., Any]
    ) -> Iterator[Case]:
        rng = np.random.default_rng([self._seeds[hidden], zlib.crc32(question.encode()), hidden])
        expect = tables["EXPECT"].get(question)
        if expect is None and question not in tables["JUDGE"]:
            raise OracleError(f"oracle.py has neither EXPECT nor JUDGE for {question}")
        try:
            for given in generate(rng):
                args = {name: value for name, value in given.items() if name != GROUP}
                with np.errstate(all="ignore"):  # overflow may be what a case is about
                    answer = expect(args) if expect else None
                group, error = str(given.get(GROUP, "all")), ""
                if isinstance(answer, type) and issubclass(answer, Exception):
                    answer, error = [], answer.__name__
                expected = None if answer is None else [np.asarray(a) for a in answer]
                yield Case(args, group, hidden, expected, error)
        except Exception as error:
            raise OracleError(f"oracle.py, {question}: {type(error).__name__}: {error}") from error

    def difference(self, question: str, case: Case, got: list[np.ndarray]) -> Difference | None:
        """None if the answer is right."""
        if case.error:
            text = f"an exception is expected, {case.error}, and none was raised"
            return Difference(text, case.error, brief(got))
        tables = self._hidden if case.hidden else self._public
        if judge := tables["JUDGE"].get(question):
            try:
                text = judge(case.args, got)
            except Exception as error:
                text = f"the answer has another form than is asked for: {error}"
            if isinstance(text, Difference):
                return text
            return Difference(text, "", brief(got)) if text else None
        return compare(case.expected or [], got, tables["TOLERANCE"].get(question))


def compare(
    expected: list[np.ndarray], got: list[np.ndarray], tolerance: Any = None
) -> Difference | None:
    """Number, dtype, shape and values, in this order. Integers and bools exactly."""
    if len(expected) != len(got):
        text = f"{len(expected)} arrays are expected, and there are {len(got)}"
        return Difference(text, brief(expected), brief(got))
    for number, (want, have) in enumerate(zip(expected, got, strict=True)):
        which = f"array {number}: " if len(expected) > 1 else ""
        texts = (brief([want]), brief([have]))
        if want.dtype != have.dtype:
            return Difference(f"{which}dtype {have.dtype}, not {want.dtype}", *texts)
        if want.shape != have.shape:
            return Difference(f"{which}shape {have.shape}, not {want.shape}", *texts)
        wrong = ~_close(want, have, tolerance)
        if not wrong.any():
            continue
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        count = int(wrong.sum())
        nan = " (nan)" if want.dtype.kind == "f" and np.isnan(have[index]) else ""
        place = f"first at {list(index)}{nan}" if index else f"the value{nan}"
        text = f"{which}{count} of {want.size} elements differ, {place}"
        values = (f"{want[index]} at {list(index)} of {texts[0]}", f"{have[index]} of {texts[1]}")
        return Difference(text, *(values if want.size > 8 else texts))
    return None


def brief(value: Any) -> str:
    """An argument or an answer in one line; large arrays by dtype, shape and first elements."""
    if isinstance(value, np.ndarray):
        flat = value.reshape(-1)
        numbers = np.array2string(
            flat[:6], precision=6, separator=", ", threshold=10, max_line_width=10**6
        )
        if value.size <= 6 and value.ndim <= 1:
            return f"{numbers if value.ndim else numbers[1:-1]} {value.dtype}"
        dots = "" if value.size <= 6 else ", ..."
        return f"{value.dtype} {value.shape} {numbers[:-1]}{dots}]"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {brief(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        if any(isinstance(entry, np.ndarray) for entry in value):
            return "; ".join(brief(entry) for entry in value)
        text = repr(value)
        return text if len(text) <= LINE else text[: LINE - 4] + " ..."
    return repr(value)


def _close(want: np.ndarray, have: np.ndarray, tolerance: Any) -> np.ndarray:
    if want.dtype.kind != "f":
        return np.asarray(want == have)
    part, tiny = DEFAULT.get(want.dtype.name, (0.0, 0.0))
    finite = np.abs(want[np.isfinite(want)])
    rtol, atol = 0.0, part * float(finite.max(initial=0)) + tiny
    if isinstance(tolerance, int | float):
        rtol, atol = tolerance, tolerance
    elif tolerance is not None:
        rtol, atol = tolerance
    return np.asarray(np.isclose(have, want, rtol=rtol, atol=atol, equal_nan=True))


def _load(folder: Path, module: str) -> dict[str, Any]:
    """The tables of an oracle.py. The folder is a package: oracle.py may import its siblings."""
    package = f"course_oracle_{zlib.crc32(str(folder.resolve()).encode())}"
    if package not in sys.modules:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(folder)]
    path = folder / (module.replace(".", "/") + ".py")
    if not path.is_file():
        raise CourseError(f"{shown(path)} is missing.")
    try:
        loaded = importlib.import_module(f"{package}.{module}")
    except Exception as error:
        raise CourseError(f"{shown(path)}: {type(error).__name__}: {error}", status=1) from error
    return {name: dict(getattr(loaded, name, {})) for name in TABLES}
