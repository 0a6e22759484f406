"""The simulator behind the device "cuda_sim": what kernels would cost on a GPU. (Lesson 4)

    with ndl.sim.watch():
        y = ndl.softmax(x.to("cuda_sim"))
    print(ndl.sim.report(html="softmax.html"))

Kernels are the CUDA backend's own, compiled for the host. Without watch() they only compute, on all
cores. What the counts are, and where they are approximations, stands in cuda/sim/counters.h.
"""

import contextlib
import ctypes
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import _core, _sim_page

__all__ = ["Finding", "Options", "Report", "clear", "options", "report", "set_options", "watch"]

_LIBRARY = "libneedle_cuda_sim.so"
_ORDERS = ("normal", "reversed", "shuffled")


class Options(NamedTuple):
    """What the simulator does beside running kernels; see cuda/sim/options.h.

    check: look for defects. count: count sectors, wavefronts and so on. collect: keep what is found
    for report() instead of raising RuntimeError. order: in which threads run, "normal", "reversed"
    or "shuffled". step_limit: after so many steps without getting further, a kernel is endless.
    """

    check: bool = False
    count: bool = False
    collect: bool = False
    order: str = "normal"
    seed: int = 0
    step_limit: int = 1 << 27


@dataclass(frozen=True)
class Finding:
    """A defect. `text` says all; `other_line` is the other side of a race, 0 if there is none."""

    kind: str
    kernel: str
    file: str
    line: int
    other_file: str
    other_line: int
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    count: int
    text: str


@dataclass(frozen=True)
class Report:
    """What was counted, by kernel and line, and what was found. str() is a table to print."""

    kernels: list[dict[str, Any]]
    findings: list[Finding]

    def __str__(self) -> str:
        return _sim_page.as_text(self.kernels, [finding.text for finding in self.findings])


class _Options(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("check", "count", "collect", "order")),
        *((name, ctypes.c_uint64) for name in ("seed", "step_limit")),
    ]


def _library() -> ctypes.CDLL:
    """RuntimeError if this build has no simulator."""
    if not _core.is_available("cuda_sim"):  # which loads it
        raise RuntimeError("sim: this build has no device cuda_sim")
    library = ctypes.CDLL(_LIBRARY)
    library.needle_sim_report.restype = ctypes.c_char_p
    return library


def options() -> Options:
    """Those of the next kernels. At first what the environment variable NEEDLE_SIM says, a list of
    check, count, collect, reversed, shuffled, step_limit=N with commas between."""
    now = _Options()
    _library().needle_sim_get_options(ctypes.byref(now))
    flags = (bool(flag) for flag in (now.check, now.count, now.collect))
    return Options(*flags, _ORDERS[now.order], now.seed, now.step_limit)


def set_options(
    check: bool = False,
    count: bool = False,
    collect: bool = False,
    order: str = "normal",
    seed: int = 0,
    step_limit: int = 1 << 27,
) -> None:
    """Sets all of them; see Options. ValueError for an unknown order, or a limit below 1."""
    if order not in _ORDERS:
        raise ValueError(f"sim: order {order!r} is none of {', '.join(_ORDERS)}")
    if step_limit < 1 or seed < 0:
        raise ValueError(f"sim: step_limit {step_limit}, seed {seed}: want at least 1, and 0")
    new = _Options(check, count, collect, _ORDERS.index(order), seed, step_limit)
    _library().needle_sim_set_options(ctypes.byref(new))


@contextlib.contextmanager
def watch(
    check: bool = True,
    count: bool = True,
    collect: bool = False,
    order: str = "normal",
    seed: int = 0,
    step_limit: int = 1 << 27,
) -> Iterator[None]:
    """Within, kernels are checked and counted; see Options. They take some twenty times as long."""
    before = options()
    set_options(check, count, collect, order, seed, step_limit)
    try:
        yield
    finally:
        set_options(*before)


def report(html: str | Path | None = None) -> Report:
    """What was counted and found since the program began, or since clear().

    With `html`, also writes it there as a page that shows the source line by line.
    """
    found = json.loads(_library().needle_sim_report())
    if html is not None:
        page = _sim_page.render("Kernels in the simulator", found)
        Path(html).write_text(page, encoding="utf-8")
    findings = [
        Finding(**{key: tuple(v) if isinstance(v, list) else v for key, v in finding.items()})
        for finding in found["findings"]
    ]
    return Report(found["kernels"], findings)


def clear() -> None:
    """Forgets what was counted and found."""
    _library().needle_sim_clear()
