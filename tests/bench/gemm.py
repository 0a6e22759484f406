"""Matrix products, against Debian's OpenBLAS and PyTorch; the better of the two counts.

All of them are called from Python, which costs each about a microsecond a call, and write where
they wrote before. The limit is the processor's multiply-adds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from harness import SETTLE, Row, compare, count, keep_memory, main, peer, timed

import needle as ndl
from course.openblas import OpenBLAS

CUBES = [64, 96, 128, 256, 384, 512, 768, 1000, 1023, 1024, 1536, 2048]
# Which operands are transposes of compact matrices, and how large.
FORMS = [
    ("A transposed", True, False),
    ("B transposed", False, True),
    ("both transposed", True, True),
]
FORM_SIZES = [256, 1024]
OBLONG = [(4096, 64, 4096), (1, 4096, 4096), (16, 4096, 1024)]  # m, k, n
HALF_SIZES = [256, 1024]
BATCHES = [(64, 64, 64, 64)]  # batch, m, k, n
THREADS = [1, 2]

Case = tuple[str, np.ndarray, np.ndarray]


def _random(*shape: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def cases(dtype: str) -> list[Case]:
    """Name and operands of every product."""
    found: list[Case] = []
    for n in CUBES:
        found.append((f"{n}x{n}x{n}", _random(n, n, dtype=dtype), _random(n, n, dtype=dtype)))
    for name, a_turned, b_turned in FORMS:
        for n in FORM_SIZES:
            a, b = _random(n, n, dtype=dtype), _random(n, n, dtype=dtype)
            found.append((f"{n}x{n}x{n}, {name}", a.T if a_turned else a, b.T if b_turned else b))
    for m, k, n in OBLONG:
        found.append((f"{m}x{k}x{n}", _random(m, k, dtype=dtype), _random(k, n, dtype=dtype)))
    for batch, m, k, n in BATCHES:
        a, b = _random(batch, m, k, dtype=dtype), _random(batch, k, n, dtype=dtype)
        found.append((f"{batch} of {m}x{k}x{n}", a, b))
    return found


def rows() -> list[Row]:
    keep_memory()
    torch = peer("torch", "pip install torch==2.13.0")
    blas = OpenBLAS()
    out: list[Row] = []
    for threads in THREADS:
        ndl.set_num_threads(threads)
        torch.set_num_threads(threads)
        blas.set_num_threads(threads)
        for dtype in ("float32", "float64"):
            for name, a, b in cases(dtype):
                x, y = (_own(ndl.tensor, array) for array in (a, b))
                theirs = [_own(torch.tensor, array) for array in (a, b)]
                out_of_theirs = torch.matmul(*theirs)
                peers = {"PyTorch": timed(partial(torch.matmul, *theirs, out=out_of_theirs))}
                if a.ndim == 2:
                    arrays = [tensor.numpy() for tensor in (*theirs, out_of_theirs)]
                    peers["OpenBLAS"] = timed(blas.product(*arrays))
                out += compare(
                    "gemm",
                    {f"{dtype} {name}, {count(threads)}": timed(partial(ndl.matmul, x, y))},
                    peers,
                    least=partial(_least, dtype, threads, 2.0 * a.size * b.shape[-1]),
                    settle=SETTLE if threads > 1 else 0,
                )
    return out + halves()


def halves() -> list[Row]:
    """bfloat16 in and out, against needle's own float32: what the conversions cost."""
    out: list[Row] = []
    for n in HALF_SIZES:
        x = ndl.tensor(np.random.default_rng(0).standard_normal((n, n), dtype="float32"))
        half = x.astype(ndl.bfloat16)
        for threads in (1, 2):
            ndl.set_num_threads(threads)
            out += compare(
                "gemm",
                {f"bfloat16 {n}x{n}x{n}, {count(threads)}": timed(partial(ndl.matmul, half, half))},
                {"float32": timed(partial(ndl.matmul, x, x))},
            )
    return out


def _own(make: Callable[[np.ndarray], Any], array: np.ndarray) -> Any:
    """The array in a library's own memory; a transpose of a compact matrix stays one."""
    if array.flags.c_contiguous:
        return make(array)
    return make(array.T).transpose(0, 1)


def _least(dtype: str, threads: int, flops: float) -> float:
    return flops / ndl.cpu.fma_peak(dtype, threads)


if __name__ == "__main__":
    main(rows)
