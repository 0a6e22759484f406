"""Holds every rung of a GPU's ladder against the reference device."""

from collections.abc import Iterable

import numpy as np

import needle as ndl

from ..errors import CourseError
from .cases import Arrays
from .check import first_difference
from .gpu_cases import HALF, GpuCase


def operands_of(rung: ndl.ladder.GpuRung, arrays: Arrays, device: str) -> list[ndl.Tensor]:
    """The arrays on the device, as the rung takes them."""
    return [ndl.tensor(x).to(rung.dtype).to(device) for x in arrays]


def check_rung(case: GpuCase, rung: ndl.ladder.GpuRung, device: str, arrays: Arrays) -> None:
    """CourseError naming the rung, the shapes and the first element that differs, or what the
    simulator found."""
    near = operands_of(rung, arrays, device)
    try:
        got = rung(*near).to("cpu").to(ndl.float32).numpy()
    except RuntimeError as error:
        raise CourseError(f"{case.name} {rung.name}: {error}", status=1) from None
    rounded = [x.to("cpu").to(ndl.float32).numpy() for x in near]
    far = [ndl.tensor(x, device="reference") for x in rounded]
    want = case.reference(*far).to("cpu").numpy()
    bound = case.bound(*rounded)
    if rung.dtype == ndl.bfloat16:
        bound = bound + HALF * np.abs(want)
    at = first_difference(got, want, bound)
    if at is None:
        return
    what = f"element {at}" if at else "the result"
    shapes = " x ".join(str(x.shape) for x in arrays)
    raise CourseError(
        f"{case.name} {rung.name} is wrong for {shapes}: {what} is {got[at]:.9g}, "
        f"the reference says {want[at]:.9g}. See {rung.file}.",
        status=1,
    )


def check_awkward(case: GpuCase, rungs: Iterable[ndl.ladder.GpuRung], device: str) -> int:
    """Checks the rungs on the case's awkward operands; gives how many results were compared."""
    compared = 0
    for arrays in case.awkward():
        for rung in rungs:
            if rung.is_available:
                check_rung(case, rung, device, arrays)
                compared += 1
    return compared
