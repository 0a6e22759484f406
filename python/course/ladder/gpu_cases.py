"""What each ladder of the GPU computes, the least that it must move, and when a result is right."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import needle as ndl

from .cases import CASES, ROW, UNIT, Arrays, random

MATMUL, SOFTMAX, SUM = CASES  # those of the cpu, whose operands and bounds are the same here


@dataclass(frozen=True)
class GpuCase:
    """One ladder. `size` is the usual one in the simulator, and on a GPU.

    flops and least_bytes: of --size n, and what must be read and written at the least. `unit` is
    GFLOP/s or GB/s, and tells which of the two is the work.
    """

    name: str
    size: dict[str, int]
    size_is: str
    unit: str
    operands: Callable[[int], Arrays]
    flops: Callable[[int], float]
    least_bytes: Callable[[int], float]
    awkward: Callable[[], list[Arrays]]
    reference: Callable[..., ndl.Tensor]
    bound: Callable[..., np.ndarray]

    def work(self, size: int) -> float:
        """What a rate counts."""
        return self.flops(size) if self.unit == "GFLOP/s" else self.least_bytes(size)

    def rungs(self, device: str) -> tuple[ndl.ladder.GpuRung, ...]:
        """The library's rungs."""
        return getattr(ndl.ladder.on(device), self.name)


def _products() -> list[Arrays]:
    """Sizes 0 and 1, odd ones, whole tiles, and such that hang over a tile by a little."""
    sizes = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (2, 3, 0), (1, 17, 5), (33, 9, 70), (128, 16, 64)]
    sizes += [(65, 33, 129), (130, 19, 36)]
    return [(random(m, k), random(k, n)) for m, k, n in sizes]


def _matrices() -> list[Arrays]:
    shapes = [(1, 1), (0, 3), (3, 0), (1, 70), (70, 1), (31, 33), (32, 64), (65, 129), (100, 7)]
    return [(random(*shape),) for shape in shapes]


def _vectors() -> list[Arrays]:
    """Fewer than a warp and a block, and more than all blocks take in a round."""
    shapes = [(0,), (1,), (31,), (33,), (256,), (257,), (3, 5, 7), (8193,), (20001,)]
    return [(random(*shape),) for shape in shapes] + [(x,) for (x,) in SUM.awkward()[-4:]]


def _rows() -> list[Arrays]:
    """Longer than what a warp holds in registers, too."""
    return [*SOFTMAX.awkward(), (random(5, 300),), (random(2, 1025),)]


GPU_CASES = [
    GpuCase(
        "matmul", {"cuda_sim": 128, "cuda": 4096}, "", "GFLOP/s",
        MATMUL.operands,
        lambda n: 2.0 * n**3,
        lambda n: 12.0 * n**2,
        _products, MATMUL.reference, MATMUL.bound,
    ),
    GpuCase(
        "transpose", {"cuda_sim": 256, "cuda": 8192}, "", "GB/s",
        lambda n: (random(n, n),),
        lambda _: 0.0,
        lambda n: 8.0 * n**2,
        _matrices, lambda x: x.transpose(0, 1).contiguous(), lambda x: np.zeros(x.T.shape),
    ),
    GpuCase(
        "reduction", {"cuda_sim": 1 << 16, "cuda": 1 << 28}, "elements", "GB/s",
        SUM.operands,
        lambda n: 1.0 * n,
        lambda n: 4.0 * n,
        _vectors, SUM.reference, SUM.bound,
    ),
    GpuCase(
        "softmax", {"cuda_sim": 64, "cuda": 1 << 16}, f"rows of {ROW}", "GB/s",
        SOFTMAX.operands,
        lambda n: 5.0 * n * ROW,
        lambda n: 8.0 * n * ROW,
        _rows, SOFTMAX.reference, SOFTMAX.bound,
    ),
]  # fmt: skip
HALF = UNIT * 2**16  # the largest relative error of one rounding to bfloat16
