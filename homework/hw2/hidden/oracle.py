"""Homework 2, hidden cases: the public generators with a secret seed, and larger, rarer inputs.

The same form as oracle.py beside it, which gives the expectations. Not in student editions.
"""

from collections.abc import Iterator

import numpy as np

from ..graphics import argmax_case, case_of, matmul_case, numbers
from ..processor import Case, adamw_case, loop_case, product_case, rows_case


def adamw(rng: np.random.Generator) -> Iterator[Case]:
    """Any length, on any number of threads."""
    for _ in range(20):
        n, threads = int(rng.integers(1, 40_000)), int(rng.integers(1, 5))
        yield adamw_case(rng, n, 2, np.float64, threads=threads)


def row_sum(rng: np.random.Generator) -> Iterator[Case]:
    """Any length, of both dtypes."""
    for n in rng.integers(1, 20_000, 20):
        for dtype in (np.float32, np.float64):
            yield rows_case(rng.uniform(0, 1, (3, n)).astype(dtype), int(n))


def tile(rng: np.random.Generator) -> Iterator[Case]:
    """Sizes at random."""
    for _ in range(20):
        m, n, k = (int(i) for i in rng.integers(2, 200, 3))
        form = (bool(rng.integers(2)), bool(rng.integers(2)))
        yield product_case(rng, m, n, k, str(rng.choice(["float32", "float64"])), transposed=form)


def parallel(rng: np.random.Generator) -> Iterator[Case]:
    """Loops at random, long ones among them."""
    for _ in range(50):
        threads, n = int(rng.integers(1, 17)), int(10 ** rng.uniform(0, 9))
        yield loop_case(threads, n, int(10 ** rng.uniform(0, 7)), bool(rng.integers(2)))


def copy(rng: np.random.Generator) -> Iterator[Case]:
    """Slices at random of four axes."""
    for dtype in ("float32", "int64", "bool", "float16"):
        for _ in range(4):
            shape = [int(n) for n in rng.integers(3, 8, 4)]
            views = [
                ("slice", axis, 0, n - 1, int(rng.integers(1, 3))) for axis, n in enumerate(shape)
            ]
            yield case_of("right", x=numbers(rng, dtype, *shape), views=views)


def argmax(rng: np.random.Generator) -> Iterator[Case]:
    """Rows at random, with few different values."""
    for n in rng.integers(32, 700, 10):
        yield argmax_case("right", rng.integers(0, 4, (7, n)).astype(np.float32))


def matmul(rng: np.random.Generator) -> Iterator[Case]:
    """Sizes and layouts at random."""
    for _ in range(8):
        m, n, k = (int(i) for i in rng.integers(1, 100, 3))
        form = (bool(rng.integers(2)), bool(rng.integers(2)))
        yield matmul_case(rng, "right", m, n, k, "float64", transposed=form)


def transpose(rng: np.random.Generator) -> Iterator[Case]:
    """Sizes at random."""
    for dtype in ("float32", "float64", "float16", "bool"):
        for _ in range(3):
            shape = [int(n) for n in rng.integers(8, 150, 2)]
            yield case_of("right", x=numbers(rng, dtype, *shape), views=[])


def softmax(rng: np.random.Generator) -> Iterator[Case]:
    """Rows at random."""
    for n in rng.integers(1, 3000, 8):
        x = 5 * numbers(rng, "float32", 2, int(n))
        yield case_of("right", x=x, log=bool(rng.integers(2)), views=[])


CASES = {
    "adamw": adamw,
    "row_sum": row_sum,
    "tile": tile,
    "parallel": parallel,
    "copy": copy,
    "argmax": argmax,
    "matmul": matmul,
    "transpose": transpose,
    "softmax": softmax,
}
