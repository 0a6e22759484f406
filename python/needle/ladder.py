"""Ladders: versions of a kernel, from the obvious one to the library's own. (Lesson 4)

    for rung in ndl.ladder.matmul:
        print(rung.name, rung.idea, rung(a, b))

The last rung is the kernel that the library itself calls; the others run on one thread. Operands
are compact float32 tensors on the cpu: TypeError or ValueError for others.
"""

from . import _core
from ._core import MatmulRung, SoftmaxRung, SumRung

__all__ = ["MatmulRung", "SoftmaxRung", "SumRung", "matmul", "softmax", "sum"]

matmul: tuple[MatmulRung, ...]
softmax: tuple[SoftmaxRung, ...]
sum: tuple[SumRung, ...]


def __getattr__(name: str) -> object:
    # At first use, not with the import: the instruction set is chosen then.
    if name not in ("matmul", "softmax", "sum"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rungs = globals()[name] = tuple(getattr(_core, f"{name}_ladder")())
    return rungs
