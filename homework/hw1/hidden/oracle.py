"""Homework 1, hidden cases: the public generators with a secret seed, and larger, rarer inputs.

The same form as oracle.py beside it, which gives the expectations. Not in student editions.
"""

from collections.abc import Iterator

import numpy as np

from ..arrays import LAYOUTS, Case, a_shape, grouped, laid_out
from ..gradients import logsumexp_case, real, sum_to_case
from ..graphs import graph_case, ladder, program_case


def reshape(rng: np.random.Generator) -> Iterator[Case]:
    """Up to eight axes, ones among them, in any layout."""
    for _ in range(40):
        factors = a_shape(rng, int(rng.integers(5, 8)), 3)
        kind = LAYOUTS[int(rng.integers(0, len(LAYOUTS)))]
        yield laid_out(rng, grouped(rng, factors), kind) | {"to": grouped(rng, factors)}


def permute(rng: np.random.Generator) -> Iterator[Case]:
    """Eight axes, the most there are."""
    for _ in range(10):
        axes = tuple(int(a) for a in rng.permutation(8))
        yield laid_out(rng, a_shape(rng, 8, 3), "sliced") | {"axes": axes}


def slice_axis(rng: np.random.Generator) -> Iterator[Case]:
    """Long axes, steps close to their length."""
    for _ in range(60):
        size = int(rng.integers(50, 100))
        start, stop = (int(rng.integers(-2 * size, 2 * size)) for _ in range(2))
        step = int(rng.choice([-1, 1])) * int(rng.integers(1, size + 2))
        yield laid_out(rng, (3, size), "sliced") | {"axis": 1, "slice": (start, stop, step)}


def topological_order(rng: np.random.Generator) -> Iterator[Case]:
    """Ladders with more paths than anybody can walk, and a graph of many edges."""
    for length in (20, 60):
        yield ladder(length)
    n = 300
    graph = [[], *[[int(j) for j in rng.integers(0, i, 3)] for i in range(1, n)]]
    yield graph_case(graph)


def backward(rng: np.random.Generator) -> Iterator[Case]:
    """Diamonds: two paths that meet, twenty times over."""
    program: list[tuple[str | int, ...]] = []
    last = 0
    for _ in range(20):
        program += [("neg", last), ("add", last, last)]
        n = len(program)
        program.append(("sub", n, n - 1))  # 2x - (-x)
        last = n + 1
    for how in ("backward", "grad"):
        yield program_case(rng, 1, program, how, 1)


def sum_to(rng: np.random.Generator) -> Iterator[Case]:
    """Eight axes."""
    for _ in range(10):
        full = a_shape(rng, 8, 3)
        a, b = (
            tuple(1 if rng.random() < 0.5 else n for n in full)[int(rng.integers(0, 8)) :]
            for _ in range(2)
        )
        yield sum_to_case(rng, a, b, second=bool(rng.integers(0, 2)))


def matmul_gradient(rng: np.random.Generator) -> Iterator[Case]:
    """Batches that broadcast against each other in both operands at once."""
    for _ in range(10):
        batch = a_shape(rng, 3, 3)
        m, k, n = a_shape(rng, 3, 5)
        first, second = (tuple(1 if rng.random() < 0.5 else s for s in batch) for _ in range(2))
        a, b = real(rng, (*first, m, k)), real(rng, (*second[int(rng.integers(0, 3)) :], k, n))
        yield {"a": a, "b": b, "dy": real(rng, np.matmul(a, b).shape), "second": False}


def logsumexp(rng: np.random.Generator) -> Iterator[Case]:
    """Numbers that fill the whole range of exponents."""
    for axes in (None, 0, 2, (0, 1)):
        x = real(rng, (3, 4, 5)) * 10.0 ** rng.uniform(-3, 5, (3, 4, 5))
        yield logsumexp_case(rng, x, axes, keepdims=bool(rng.integers(0, 2)), gradient=True)


CASES = {
    "reshape": reshape,
    "permute": permute,
    "slice": slice_axis,
    "topological_order": topological_order,
    "backward": backward,
    "sum_to": sum_to,
    "matmul_gradient": matmul_gradient,
    "logsumexp": logsumexp,
}
