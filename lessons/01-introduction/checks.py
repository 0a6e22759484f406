"""The checks of lesson 1. The answers go into answers.py beside this file."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks import Check


def number(want: float, hint: str, traps: dict[float, str] | None = None) -> Callable:
    """Verifies one number; `traps` has a hint of its own for a typical wrong one."""

    def verify(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            return "A number is wanted."
        for wrong, why in (traps or {}).items():
            if np.isclose(value, wrong, rtol=1e-3):
                return why
        return None if np.isclose(value, want, rtol=1e-3) else hint

    return verify


def function(reference: Callable, cases: list[tuple], hint: str) -> Callable:
    """Verifies a function on cases; what it gives must be near to what `reference` gives."""

    def verify(value: Any) -> str | None:
        if not callable(value):
            return "A function is wanted."
        for case in cases:
            got = value(*case)
            if got is None:
                return "The function returns nothing yet."
            if not np.isclose(got, reference(*case), rtol=1e-6):
                return f"For {case} it gives {got:g}. {hint}"
        return None

    return verify


A, B = np.zeros((64, 256)), np.zeros((256, 1024))
PRODUCT = A.shape[0] * A.shape[1] * B.shape[1]
ELEMENTS = A.size + B.size + (A @ B).size

CHECKS = [
    Check(
        "matmul_flops",
        "FLOPs of a (64, 256) times a (256, 1024) matrix",
        number(
            2 * PRODUCT,
            "How many results are there, and how many operations does each of them need?",
            {PRODUCT: "A multiplication and an addition are two operations."},
        ),
    ),
    Check(
        "matmul_bytes",
        "fewest bytes that this product moves to and from memory, in float64",
        number(
            8 * ELEMENTS,
            "Count the elements of all three matrices, then the bytes of one element.",
            {
                4 * ELEMENTS: "Look again at the dtype.",
                8 * (A.size + B.size): "The result has to be written, too.",
            },
        ),
    ),
    Check(
        "fma_intensity",
        "arithmetic intensity (FLOP/byte) of d = a * b + c in one pass, elementwise, float32",
        number(
            2 / (4 * 4),
            "Two operations an element; now count the arrays that are read and written.",
            {2 / 24: "That is two passes; in one pass the product never goes to memory."},
        ),
    ),
    Check(
        "attainable",
        "attainable(intensity, peak, bandwidth): FLOP/s that the roofline allows",
        function(
            lambda i, p, b: np.minimum(p, i * b),
            [(0.1, 1e11, 2e10), (5.0, 1e11, 2e10), (300.0, 1e11, 2e10), (2.0, 7.0, 3.0)],
            "Two limits hold at once; which one is lower here?",
        ),
    ),
    Check(
        "ridge_point",
        "ridge point (FLOP/byte) of a machine with 240 GFLOP/s and 30 GB/s",
        number(
            240e9 / 30e9,
            "At which intensity do the slope and the roof meet?",
            {30 / 240: "Upside down: look at the unit of an intensity."},
        ),
    ),
    Check(
        "step_flops",
        "step_flops(parameters, tokens): FLOPs of a training step, the scores left out",
        function(
            lambda n, t: (2 + 4) * n * t,
            [(1e6, 1), (29360128, 4096), (7e9, 2**20)],
            "Forward costs two for each parameter and token; what does backward cost?",
        ),
    ),
    Check(
        "tokens_per_second",
        "most tokens a second for one user: 300 million bfloat16 weights, 60 GB/s",
        number(
            60e9 / (300e6 * np.dtype(np.float16).itemsize),
            "How many bytes does one token need, and how long do they take to arrive?",
            {60e9 / (300e6 * 4): "A bfloat16 is not as wide as a float32."},
        ),
    ),
    Check(
        "state_bytes",
        "state_bytes(n): bytes that AdamW training of n parameters keeps: bfloat16 weights and "
        "gradients, a float32 copy of the weights, two float32 moments",
        function(
            lambda n: n * sum(np.dtype(d).itemsize for d in ("f2", "f2", "f4", "f4", "f4")),
            [(1,), (10**9,)],
            "Five arrays have n elements; add up the width of each.",
        ),
    ),
]
