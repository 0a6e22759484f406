"""Ladders: versions of a kernel, from the obvious one to the library's own. (Lesson 4)

    for rung in ndl.ladder.matmul:
        print(rung.name, rung.idea, rung(a, b))

The last rung is the kernel that the library itself calls; the others run on one thread. Operands
are compact float32 tensors on the cpu: TypeError or ValueError for others. Those of a GPU and of
the simulator are on("cuda").matmul and on("cuda_sim").matmul.
"""

from typing import NamedTuple

from . import _core
from ._core import GpuRung, MatmulRung, SoftmaxRung, SumRung

__all__ = [
    "GpuLadders",
    "GpuRung",
    "MatmulRung",
    "SoftmaxRung",
    "SumRung",
    "matmul",
    "on",
    "softmax",
    "sum",
]

matmul: tuple[MatmulRung, ...]
softmax: tuple[SoftmaxRung, ...]
sum: tuple[SumRung, ...]


class GpuLadders(NamedTuple):
    """The ladders of a GPU, each with the slowest rung first."""

    matmul: tuple[GpuRung, ...]
    transpose: tuple[GpuRung, ...]
    reduction: tuple[GpuRung, ...]
    softmax: tuple[GpuRung, ...]


def on(device: object) -> GpuLadders:
    """The ladders of "cuda" or "cuda_sim". ValueError for a device that is no GPU; RuntimeError,
    with what to do, if there is none."""
    rungs = _core.gpu_ladders(device)
    return GpuLadders(
        *(tuple(rung for rung in rungs if rung.ladder == name) for name in GpuLadders._fields)
    )


def __getattr__(name: str) -> object:
    # At first use, not with the import: the instruction set is chosen then.
    if name not in ("matmul", "softmax", "sum"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rungs = globals()[name] = tuple(getattr(_core, f"{name}_ladder")())
    return rungs
