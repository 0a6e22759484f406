"""The checks of lesson 4. The answers go into answers.py beside this file."""

import math
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


def verify_online(value: Any) -> str | None:
    """online(numbers) against two passes, on an iterator that ends after one."""
    if not callable(value):
        return "A function is wanted."
    rng = np.random.default_rng(4)
    for size in (1, 2, 50):
        x = rng.normal(size=size) * 5
        got = value(iter(x.tolist()))
        if got is None:
            return "The function returns nothing yet."
        if not np.allclose(got, (x.max(), np.exp(x - x.max()).sum()), rtol=1e-9):
            return "When a larger number comes, what is the sum so far worth, measured by it?"
    try:
        huge = value(iter([0.0, 1000.0, 2000.0, 2000.0]))
    except OverflowError:
        huge = (np.inf, np.inf)
    if not np.allclose(huge, (2000, 2)):
        return "Right for small numbers, but look what happens at 1000 and above."
    return None


def sectors(stride: int) -> int:
    """Sectors that the 32 lanes of a warp touch with x[stride * lane], float32."""
    return len({4 * stride * lane // 32 for lane in range(32)})


def wavefronts(stride: int) -> int:
    """Words of the busiest of 32 banks when the lanes read s[stride * lane]."""
    words = {stride * lane for lane in range(32)}
    return max(sum(word % 32 == bank for word in words) for bank in range(32))


def padding(steps: int, row: int) -> int:
    """Words of padding with which 32 lanes write a[lane % steps][lane / steps] without conflict."""
    for extra in range(32):
        at = [lane % steps * (row + extra) + lane // steps for lane in range(32)]
        if len({word % 32 for word in at}) == 32:
            return extra
    raise AssertionError


LINE = 64  # bytes of a cache line
X = np.zeros(1 << 20, np.float32)

CHECKS = [
    Check(
        "peak",
        "float32 GFLOP/s of a core with 2.5 GHz, vectors of 512 bits and two FMA units",
        number(
            2.5 * 512 / (8 * np.dtype(np.float32).itemsize) * 2 * 2,
            "Lanes of a vector, times units, times operations of each, times the clock.",
            {
                2.5 * 16 * 2: "An FMA is two operations; and there are two units.",
                2.5 * 8 * 2 * 2: "How many float32 are in 512 bits?",
            },
        ),
    ),
    Check(
        "chains",
        "chains(latency, per_cycle): independent sums that keep an adder busy",
        function(
            lambda latency, per_cycle: latency * per_cycle,
            [(4, 2), (3, 2), (5, 1), (4, 1)],
            "How many begin before the first one has ended?",
        ),
    ),
    Check(
        "strided_bytes",
        "bytes that memory delivers for the sum of every fourth of 2^20 float32",
        number(
            len({i * X.itemsize // LINE for i in range(0, X.size, 4)}) * LINE,
            "Memory delivers whole lines. Which lines have nothing that is wanted?",
            {X.nbytes / 4: "Those are the bytes that are used, not those that move."},
        ),
    ),
    Check(
        "tile_intensity",
        "tile_intensity(rows, columns): FLOP per byte loaded of a register tile, float64",
        function(
            lambda rows, columns: 2 * rows * columns / (8 * (rows + columns)),
            [(1, 1), (4, 8), (6, 8), (14, 16)],
            "One step: which numbers are loaded, how many bytes has each, what is done with them?",
        ),
    ),
    Check(
        "tile_rows",
        "32 registers, a tile of R rows and 3 vectors, 3 vectors of B, one of A: the largest R",
        number(
            max(r for r in range(1, 32) if r * 3 + 3 + 1 <= 32),
            "Count the registers of the tile and of what a step loads.",
            {32 // 3: "The tile alone fits. Where are B and A?"},
        ),
    ),
    Check(
        "fusion_ratio",
        "y = (x - m) * s + t, all arrays: bytes of three kernels over bytes of one",
        number(
            (3 + 3 + 3) / (4 + 1),
            "Each kernel reads its operands from memory, and writes its result to it.",
            {(2 + 2 + 2) / (4 + 1): "Results are written, too."},
        ),
    ),
    Check(
        "online",
        "online(numbers): largest, and sum of exp(x - largest), in one pass",
        verify_online,
    ),
    Check(
        "additions",
        "a million numbers added in pairs: the additions that one number passes at most",
        number(
            math.ceil(math.log2(1_000_000)),
            "How often can the numbers be halved until one is left?",
            {999_999: "That is the running sum, for its first number."},
        ),
    ),
    Check(
        "block_depth",
        "block_depth(cache_bytes, columns): rows of a packed float32 panel that fill half a cache",
        function(
            lambda cache_bytes, columns: cache_bytes // 2 // (4 * columns),
            [(32768, 16), (49152, 32), (65536, 8)],
            "How many bytes has a row of the panel?",
        ),
    ),
    Check(
        "break_even",
        "0.5 ns an element, 6 µs to start: elements from which two threads are faster than one",
        number(
            6e-6 / (0.5e-9 / 2),
            "Write both times as formulas of n, and set them equal.",
            {6e-6 / 0.5e-9: "What does the second thread save: all of the time?"},
        ),
    ),
    # --- the GPU half ---
    Check(
        "diverging",
        "256 threads, `if (threadIdx.x < 100)`: warps whose lanes part",
        number(
            len({t // 32 for t in range(256)} & {t // 32 for t in range(100)})
            - len({w for w in range(8) if 32 * w + 31 < 100}),
            "In which warps are there threads of both kinds?",
            {4: "Those are the warps that enter. Which of them enter as a whole?"},
        ),
    ),
    Check(
        "sectors",
        "sectors(stride): sectors of a request x[stride * threadIdx.x], float32, stride at least 0",
        function(
            sectors,
            [(0,), (1,), (2,), (3,), (8,), (9,), (100,)],
            "Write down the 32 addresses in bytes. In how many pieces of 32 bytes are they?",
        ),
    ),
    Check(
        "wavefronts",
        "wavefronts(stride): of a request s[stride * threadIdx.x] to shared memory, float32",
        function(
            wavefronts,
            [(0,), (1,), (2,), (5,), (6,), (16,), (31,), (32,), (48,)],
            "How many different words are in the busiest bank?",
        ),
    ),
    Check(
        "padding",
        "words of padding for a[16][64 + padding], where lane e writes a[e % 16][e / 16]",
        number(
            padding(16, 64),
            "In which bank is what lane e writes? All 32 must differ.",
            {1: "Almost: where do lane 1 and lane 16 write?"},
        ),
    ),
    Check(
        "under_way",
        "bytes that must be under way for 3.35 TB/s, if memory answers after 700 ns",
        number(3.35e12 * 700e-9, "Latency times throughput; a nanosecond is 1e-9 s."),
    ),
    Check(
        "resident",
        "blocks on a multiprocessor of the H100: 256 threads, 96 registers each, 40 KiB shared",
        number(
            min(2048 // 256, 65536 // (256 * 96), 228 // (40 + 1), 32),
            "Compute what each of the three would allow. The scarcest decides.",
            {
                228 // 41: "So many fit into shared memory. And their registers?",
                2048 // 256: "So many by their threads. And their registers?",
            },
        ),
    ),
    Check(
        "tile_bytes",
        "tile_bytes(n, side): bytes of A and B that an (n, n) float32 product by tiles reads",
        function(
            lambda n, side: 2 * 4 * n**3 / side,
            [(256, 32), (256, 64), (4096, 128)],
            "How often does each number of A come from memory, if a block reads it once?",
        ),
    ),
    Check(
        "tensor_tile",
        "990 TFLOP/s, 4.8 TB/s, bfloat16: the smallest power of two as the side of a square tile "
        "that could be fed from memory",
        number(
            next(s for s in (2**p for p in range(20)) if 2 * s * s / (2 * 2 * s) >= 990 / 4.8),
            "FLOPs of one step of k over the bytes of that step, against the ridge.",
            {
                256: "Near. How many bytes has a bfloat16, and how many operands has a product?",
                1024: "A bfloat16 has two bytes.",
            },
        ),
    ),
]
