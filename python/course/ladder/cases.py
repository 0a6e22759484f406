"""What each ladder computes: its operands, how much work that is, and when a result is right."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import needle as ndl

UNIT = 2.0**-24  # the largest relative error of one rounding to float32
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Case:
    """One ladder. A result may differ from the reference's by bound(operands), element by element.

    `work` is in FLOP or in bytes, and `unit` is GFLOP/s or GB/s.
    """

    name: str
    default_size: int
    size_is: str
    unit: str
    limit: str
    operands: Callable[[int], Arrays]
    work: Callable[[int], float]
    awkward: Callable[[], list[Arrays]]
    reference: Callable[..., ndl.Tensor]
    bound: Callable[..., np.ndarray]

    @property
    def rungs(self) -> tuple:
        """The library's rungs."""
        return getattr(ndl.ladder, self.name)


def random(*shape: int) -> np.ndarray:
    """Standard normal float32 numbers, the same ones each time."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# --- matmul: --size n is (n, n) x (n, n) ---


def _products() -> list[Arrays]:
    """Sizes 0 and 1, odd ones, and such that hang over every tile and block by a little."""
    sizes = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (2, 3, 0), (1, 17, 5), (7, 13, 19), (6, 16, 32)]
    sizes += [(97, 65, 33), (13, 300, 35), (100, 513, 67), (8, 5, 2051)]
    return [(random(m, k), random(k, n)) for m, k, n in sizes]


def _product_bound(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Higham's bound for sums of k products in any order: (k + 1) u |A| |B|."""
    return (a.shape[1] + 1) * UNIT * (np.abs(a, dtype=float) @ np.abs(b)) * 1.01


# --- softmax: --size n is n rows of 1024 ---

ROW = 1024


def _rows() -> list[Arrays]:
    shapes = [(1, 1), (0, 5), (3, 0), (7,), (5, 17), (3, 2, 33), (4, 1000)]
    found = [(random(*shape) * 4,) for shape in shapes]
    odd = np.array([np.nan, np.inf, -np.inf, 1000, -1000, 88, 0], np.float32)
    rows = np.zeros((len(odd) + 1, 19), np.float32)
    rows[: len(odd), 5] = odd
    rows[-1] = -np.inf
    return [*found, (rows,), (rows[:, ::-1].copy(),)]


def _softmax_bound(x: np.ndarray) -> np.ndarray:
    """The sum is off by n roundings, an exponential by two and by those of its argument."""
    return np.full(x.shape, (x.shape[-1] + 64) * UNIT)


# --- sum: --size n is n elements ---


def _vectors() -> list[Arrays]:
    shapes = [(0,), (1,), (7,), (8,), (9,), (63,), (65,), (3, 5, 7), (4095,), (4097,), (70001,)]
    found = [(random(*shape),) for shape in shapes]
    for odd in ([np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]):
        x = random(300)
        x[[17, 295][: len(odd)]] = odd
        found.append((x,))
    return found


def _sum_bound(x: np.ndarray) -> np.ndarray:
    """Higham's bound for n numbers added in any order: n u times the sum of their magnitudes."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x.size * UNIT * np.abs(x, dtype=float).sum() * 1.01)


CASES = [
    Case(
        "matmul", 1024, "", "GFLOP/s", "FMA peak",
        lambda n: (random(n, n), random(n, n)),
        lambda n: 2.0 * n**3,
        _products, ndl.matmul, _product_bound,
    ),
    Case(
        "softmax", 8192, f"rows of {ROW}", "GB/s", "copy bandwidth",
        lambda n: (random(n, ROW),),
        lambda n: 8.0 * n * ROW,
        _rows, lambda x: ndl.softmax(x, -1), _softmax_bound,
    ),
    Case(
        "sum", 1 << 20, "elements", "GB/s", "read bandwidth",
        lambda n: (np.random.default_rng(0).random(n, np.float32),),
        lambda n: 4.0 * n,
        _vectors, ndl.sum, _sum_bound,
    ),
]  # fmt: skip
