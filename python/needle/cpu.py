"""What the cpu backend runs on, and what that machine can do at most. (Lesson 04)"""

from typing import NamedTuple

from . import _core

__all__ = [
    "Caches",
    "caches",
    "copy_bandwidth",
    "fma_peak",
    "isa",
    "isas",
    "pieces",
    "read_bandwidth",
]


class Caches(NamedTuple):
    """Sizes in bytes of the caches for data: l1 and l2 of one core, l3 of the chip."""

    l1: int
    l2: int
    l3: int


def isa() -> str:
    """The instruction set in use: "avx512", "avx2" or "sse2"; on ARM, "neon".

    The best that the CPU has. The environment variable NEEDLE_ISA names another one of isas(); it
    is read at first use. ValueError if it names something else.

    On avx512, matmul of bfloat16 uses the tiles of AMX, or the dot products of AVX512_BF16, if the
    CPU has them. They take subnormal numbers for zeros; NEEDLE_BF16=widened does without them.
    """
    return _core.cpu_isa()


def isas() -> list[str]:
    """The instruction sets that this build and this CPU have, the best first."""
    return _core.cpu_isas()


def caches() -> Caches:
    """The caches that the kernels are cut to, as the operating system tells them.

    The environment variable NEEDLE_CACHES=32K,512K,8M says otherwise; it is read at first use.
    """
    return Caches(*_core.cpu_caches())


def fma_peak(dtype: _core.DType = _core.float32, threads: int = 1) -> float:
    """FLOP/s of threads that do nothing but multiply-adds in registers: the roof of a matmul.

    TypeError for a dtype that is not floating. Measures for about 50 ms.
    """
    return _core.fma_peak(dtype, threads)


def copy_bandwidth(bytes: int, threads: int = 1) -> float:
    """Bytes per second of copying between two buffers of bytes / 2 each, read and written added up.

    The size says where they lie: in a cache, or, several times larger than all of them, in memory.
    ValueError below 4096 bytes a thread and buffer.
    """
    return _core.copy_bandwidth(bytes, threads)


def read_bandwidth(bytes: int, threads: int = 1) -> float:
    """Bytes per second of reading a buffer of that many bytes again and again."""
    return _core.read_bandwidth(bytes, threads)


def pieces(n: int, grain: int, nested: bool = False) -> list[tuple[int, int]]:
    """The pieces [begin, end) into which a kernel's loop over [0, n) is cut now, in order.

    One for each thread of get_num_threads(), but if there are several, none with fewer than `grain`
    steps. nested: of a loop that is started from inside a piece of another.
    """
    return _core.loop_pieces(n, grain, nested)
