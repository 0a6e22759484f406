"""Holds every rung against the reference device before anything is timed."""

from collections.abc import Iterable
from typing import Any

import numpy as np

import needle as ndl

from ..errors import CourseError
from .cases import Case


def first_difference(
    got: np.ndarray, want: np.ndarray, bound: np.ndarray
) -> tuple[int, ...] | None:
    """The first index where got is not within bound of want; NaN and infinities must be equal."""
    with np.errstate(invalid="ignore"):
        near = np.abs(got.astype(float) - want) <= bound
    right = np.where(np.isfinite(want), near, (got == want) | (np.isnan(got) & np.isnan(want)))
    wrong = np.argwhere(~right)
    return tuple(int(i) for i in wrong[0]) if len(wrong) else None


def check(case: Case, rungs: Iterable[Any]) -> int:
    """Checks rungs on the case's awkward operands; gives how many results were compared.

    CourseError naming the rung, the shapes and the first element that differs.
    """
    compared = 0
    for arrays in case.awkward():
        far = [ndl.tensor(x, device="reference") for x in arrays]
        want = case.reference(*far).to("cpu").numpy()
        bound = case.bound(*arrays)
        for rung in rungs:
            got = rung(*map(ndl.tensor, arrays)).numpy()
            compared += 1
            at = first_difference(got, want, bound)
            if at is None:
                continue
            what = f"element {at}" if at else "the result"
            shapes = " x ".join(str(x.shape) for x in arrays)
            raise CourseError(
                f"{case.name} {rung.name} is wrong for {shapes}: {what} is {got[at]:.9g}, "
                f"the reference says {want[at]:.9g}. See {rung.file}.",
                status=1,
            )
    return compared
