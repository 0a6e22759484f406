"""The checks of lesson 2. The answers go into answers.py beside this file."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks import Check


def strides_of(a: np.ndarray) -> tuple[int, ...]:
    """NumPy's strides are bytes; ours are elements."""
    return tuple(s // a.itemsize for s in a.strides)


def offset_of(view: np.ndarray, base: np.ndarray) -> int:
    """How far behind the first element of `base` that of `view` lies."""
    address = "__array_interface__"
    distance = getattr(view, address)["data"][0] - getattr(base, address)["data"][0]
    return distance // base.itemsize


def exactly(want: Any, hint: str) -> Callable:
    """Verifies a value of the same type that equals `want`."""

    def verify(value: Any) -> str | None:
        if type(value) is not type(want):
            return f"The answer has the type {type(want).__name__}, not {type(value).__name__}."
        if isinstance(want, tuple) and len(value) != len(want):
            return f"It has {len(want)} entries, not {len(value)}."
        return None if value == want else hint

    return verify


Y = np.zeros((2, 3, 5), np.float32)
Z = np.zeros((6, 8), np.float32)
WIDE = np.broadcast_to(np.zeros(64, np.float32), (32, 128, 64))


def same_memory(a: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether NumPy can give `a` another shape without a copy."""
    return bool(np.shares_memory(a, a.reshape(shape)))


def verify_position(value: Any) -> str | None:
    """position(index, strides, offset): where an element lies."""
    for index, a in [((1, 2), Z.T), ((3, 1), Z[::-1, 2::3]), ((), Y[1, 2, 3])]:
        base = Y if a.ndim == 0 else Z
        got = value(index, strides_of(a), offset_of(a, base))
        if got is None:
            return "The function returns nothing yet."
        want = offset_of(a[(*index, ...)], base)
        if got != want:
            return (
                f"For index {index}, strides {strides_of(a)}, offset {offset_of(a, base)} it gives "
                f"{got}: walk along each axis in turn, starting at the offset."
            )
    return None


def verify_one_axis(value: Any) -> str | None:
    """one_axis(shape, strides): whether the two axes of a view merge into one."""
    views = [Z, Z.T, Z[:, :4], Z[:, ::2], Z[::2], Z[::-1, ::-1], Z[::-1]]
    for a in views:
        got = value(a.shape, strides_of(a))
        if got is None:
            return "The function returns nothing yet."
        if bool(got) != same_memory(a, (a.size,)):
            return (
                f"Wrong for shape {a.shape}, strides {strides_of(a)}: is one step of the outer "
                "axis where the inner one would be after its last element?"
            )
    return None


def verify_careful_sum(value: Any) -> str | None:
    """careful_sum(x): float32 sums that stay near the float64 sum."""
    rng = np.random.default_rng(1)
    for n in (0, 1, 7, 4096, 30_001):
        x = rng.random(n, dtype=np.float32) + np.float32(100)
        got = value(x.copy())
        if got is None:
            return "The function returns nothing yet."
        if not isinstance(got, np.float32 | float | int | np.ndarray):
            return "The result is a number."
        if n and (isinstance(got, float) or np.asarray(got).dtype == np.float64):
            return "The point is to stay in float32: a Python number is a float64."
        want = float(np.sum(x, dtype=np.float64))
        if abs(float(got) - want) > 1e-6 * max(want, 1):
            return f"Off by {abs(float(got) - want):.3g} for {n} numbers: is any partial sum long?"
    return None


CHECKS = [
    Check(
        "broadcast_shape",
        "shape of (4, 1, 6) + (3, 1)",
        exactly(
            np.broadcast_shapes((4, 1, 6), (3, 1)), "Align on the right, one column at a time."
        ),
    ),
    Check(
        "permuted_strides",
        "strides, in elements, of a contiguous (2, 3, 5) array with axes in the order (2, 0, 1)",
        exactly(strides_of(Y.transpose(2, 0, 1)), "Each axis keeps its own stride when it moves."),
    ),
    Check(
        "sliced_strides",
        "strides of z[::-2, 1::3], z contiguous of shape (6, 8)",
        exactly(strides_of(Z[::-2, 1::3]), "A step multiplies the stride; mind its sign."),
    ),
    Check(
        "sliced_offset",
        "offset of z[::-2, 1::3]",
        exactly(
            offset_of(Z[::-2, 1::3], Z), "In which row does a walk with a negative step start?"
        ),
    ),
    Check(
        "views",
        "is z.reshape(48) a view? z.T.reshape(48)? z[:, ::2].reshape(24)? z[2:4].reshape(16)?",
        exactly(
            (
                same_memory(Z, (48,)),
                same_memory(Z.T, (48,)),
                same_memory(Z[:, ::2], (24,)),
                same_memory(Z[2:4], (16,)),
            ),
            "For each of them write down the strides and see whether the two axes merge.",
        ),
    ),
    Check(
        "broadcast_bytes",
        "bytes of memory behind a float32 (64,) array that is broadcast to (32, 128, 64)",
        exactly(WIDE.base.nbytes, "How far does one walk in memory along an axis of stride 0?"),
    ),
    Check("position", "position(index, strides, offset) of an element", verify_position),
    Check("one_axis", "one_axis(shape, strides): can two axes be seen as one?", verify_one_axis),
    Check(
        "promoted",
        "dtype of (int32 array) * (float32 array), as a string",
        exactly(
            str(np.result_type(np.int32, np.float32)), "Can a float32 hold every int32 exactly?"
        ),
    ),
    Check(
        "careful_sum",
        "careful_sum(x): the sum of a float32 vector, in float32, good to one part in a million",
        verify_careful_sum,
    ),
]
