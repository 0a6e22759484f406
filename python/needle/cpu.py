"""What the cpu backend runs on."""

from ._core import cpu_isa

__all__ = ["isa"]


def isa() -> str:
    """The instruction set in use: "avx512", "avx2" or "sse2".

    The environment variable NEEDLE_ISA forces a lower one; it is read at first use.
    """
    return cpu_isa()
