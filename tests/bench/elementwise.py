"""Kernels that compute little and move much, against PyTorch: elementwise, reductions, movement.

Every case runs on arrays of four sizes, which lie in the first, the second, the third cache, and
in memory. There the limit is the bandwidth of copying, measured in the same run: what a case has to
read and to write, once, divided by it. If the same work from the second cache takes longer than
that, arithmetic is the limit, and that time is. Operands lie in each library's own memory, results
are allocated as anyone would; both sides keep freed memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from harness import SETTLE, Row, compare, count, keep_memory, main, peer, timed

import needle as ndl

# Elements of the largest operand, by where it lies on a machine of today.
SIZES = {"L1": 1 << 11, "L2": 1 << 15, "L3": 1 << 20, "memory": 1 << 24}
COLUMNS = 1024
THREADS = [1, 2]
ITEM = 4  # bytes of a float32


class Case(NamedTuple):
    """One operation: how to prepare it for n elements on a side, and how many bytes it moves."""

    name: str
    make: Callable[[Any, int], Callable[[], object]]
    bytes_moved: Callable[[int], float]


class Side:
    """What differs between needle and PyTorch."""

    def __init__(self, library: Any, tensor: Callable[[np.ndarray], Any]) -> None:
        self.library, self.tensor = library, tensor
        self.functional = library.nn.functional if hasattr(library.nn, "functional") else library

    def random(self, *shape: int, dtype: str = "float32") -> Any:
        """Standard normal numbers, the same on both sides."""
        return self.tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype))

    def below(self, n: int, size: int) -> Any:
        """`size` random indices below n."""
        return self.tensor(np.random.default_rng(0).integers(0, n, size))


def shape_of(n: int) -> tuple[int, int]:
    """n elements as a matrix."""
    columns = min(COLUMNS, n // 16)
    return n // columns, columns


def unary(name: str) -> Case:
    def make(side: Side, n: int) -> Callable[[], object]:
        function = getattr(side.library, name, None) or getattr(side.functional, name)
        return partial(function, side.random(n))

    return Case(name, make, lambda n: 2 * ITEM * n)


def backward(name: str) -> Case:
    """The gradient alone: the graph stays."""

    def make(side: Side, n: int) -> Callable[[], object]:
        function = getattr(side.library, name, None) or getattr(side.functional, name)
        x = side.random(n)
        x.requires_grad_()
        y, dy = function(x), side.random(n)
        return lambda: side.library.autograd.grad(y, x, dy, retain_graph=True)

    return Case(f"gradient of {name}", make, lambda n: 3 * ITEM * n)


def simple(
    name: str,
    operands: Callable[[Side, int], list[Any]],
    run: Callable[..., object],
    bytes_moved: Callable[[int], float],
) -> Case:
    """run(library, *operands)."""

    def make(side: Side, n: int) -> Callable[[], object]:
        return partial(run, side, *operands(side, n))

    return Case(name, make, bytes_moved)


def matrix(side: Side, n: int) -> list[Any]:
    return [side.random(*shape_of(n))]


def pair(side: Side, n: int) -> list[Any]:
    return [side.random(n), side.random(n)]


def optimizer(side: Side, n: int) -> Callable[[], object]:
    """AdamW over one parameter of n elements."""
    p = side.random(n)
    p.requires_grad_()
    side.library.sum(p * side.random(n)).backward()
    return side.library.optim.AdamW([p], lr=1e-3, weight_decay=0.01).step


def table_rows(side: Side, n: int) -> list[Any]:
    rows, columns = shape_of(n)
    return [side.random(rows, columns), side.below(rows, rows)]


def add_rows(side: Side, table: Any, index: Any) -> object:
    """The gradient of looking rows up."""
    weight = table.detach() if hasattr(table, "detach") else table
    weight.requires_grad_()
    if side.library is ndl:
        y = ndl.embedding(weight, index)
    else:
        y = side.functional.embedding(index, weight)
    return side.library.autograd.grad(y, weight, y.detach())


def look_up(side: Side, table: Any, index: Any) -> object:
    if side.library is ndl:
        return ndl.embedding(table, index)
    return side.functional.embedding(index, table)


def vector(side: Side, n: int) -> list[Any]:
    return [side.random(n)]


def with_row(side: Side, n: int) -> list[Any]:
    rows, columns = shape_of(n)
    return [side.random(rows, columns), side.random(columns)]


def with_column(side: Side, n: int) -> list[Any]:
    rows, columns = shape_of(n)
    return [side.random(rows, columns), side.random(rows, 1)]


def every_other(side: Side, n: int) -> list[Any]:
    return [side.random(*shape_of(n))[:, ::2]]


def doubles(side: Side, n: int) -> list[Any]:
    return [side.random(n, dtype="float64")]


def largest(side: Side, a: Any) -> object:
    return ndl.max(a, -1) if side.library is ndl else side.library.amax(a, -1)


def moves(elements: float) -> Callable[[int], float]:
    """`elements` float32 for each element of the largest operand."""
    return lambda n: elements * ITEM * n


CASES = [
    simple("add", pair, lambda _, a, b: a + b, moves(3)),
    simple("multiply by a number", vector, lambda _, a: a * 2.5, moves(2)),
    simple("add a row", with_row, lambda _, a, b: a + b, moves(2)),
    simple("multiply by a column", with_column, lambda _, a, b: a * b, moves(2)),
    simple("a * b + a, a chain", pair, lambda _, a, b: a * b + a, moves(6)),
    *(unary(name) for name in ("relu", "exp", "tanh", "sigmoid", "gelu", "silu")),
    *(backward(name) for name in ("gelu", "silu", "tanh")),
    simple("SwiGLU", pair, lambda s, a, b: s.functional.silu(a) * b, moves(5)),
    simple("compare and choose", pair, lambda s, a, b: s.library.where(a > b, a, b), moves(5.5)),
    simple("sum of all", vector, lambda s, a: s.library.sum(a), moves(1)),
    simple("sum of rows", matrix, lambda s, a: s.library.sum(a, -1), moves(1)),
    simple("sum of columns", matrix, lambda s, a: s.library.sum(a, 0), moves(1)),
    simple("largest of rows", matrix, largest, moves(1)),
    simple("copy of a transpose", matrix, lambda _, a: a.transpose(0, 1).contiguous(), moves(2)),
    simple("copy of every other column", every_other, lambda _, a: a.contiguous(), moves(1.5)),
    simple("float32 to float64", vector, lambda s, a: a.to(s.library.float64), moves(3)),
    simple("float64 to float32", doubles, lambda s, a: a.to(s.library.float32), moves(3)),
    simple("dropout", vector, lambda s, a: s.functional.dropout(a, 0.1, True), moves(2)),
    simple("look rows up", table_rows, look_up, moves(2)),
    simple("look rows up and add rows up", table_rows, add_rows, moves(4)),
    Case("AdamW", optimizer, moves(7)),
]


def rows() -> list[Row]:
    """Every case, at every size, on one thread and on two."""
    return compare_cases("elementwise", CASES)


def compare_cases(suite: str, cases: list[Case]) -> list[Row]:
    """needle and PyTorch, in turns."""
    keep_memory()
    torch = peer("torch", "pip install torch==2.13.0")
    ours, theirs = Side(ndl, ndl.tensor), Side(torch, torch.tensor)
    out: list[Row] = []
    for threads in THREADS:
        ndl.set_num_threads(threads)
        torch.set_num_threads(threads)
        for case in cases:
            for place, n in SIZES.items():
                out += compare(
                    suite,
                    {f"{case.name}, {place}, {count(threads)}": timed(case.make(ours, n))},
                    {"PyTorch": timed(case.make(theirs, n))},
                    unit="us",
                    scale=1e6,
                    least=_least(case, ours, n, threads) if place == "memory" else None,
                    settle=SETTLE if threads > 1 else 0,
                )
    return out


def _least(case: Case, side: Side, n: int, threads: int) -> Callable[[], float]:
    """Measures the time that n elements take at least: to move them, or to compute with them."""
    computes = timed(case.make(side, SIZES["L2"]))

    def least() -> float:
        moving = case.bytes_moved(n) / ndl.cpu.copy_bandwidth(1 << 28, threads)
        return max(moving, computes() * n / SIZES["L2"])

    return least


if __name__ == "__main__":
    main(rows)
