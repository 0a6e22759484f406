"""The ladders: every version of a kernel, its results and its time.

Usage: ladders.py libneedle_slots.so, under a profiler: every version once, in the order and of the
sizes that ./course ladder counts in the simulator.
"""

import sys

import torch
from slots import Bench, Run, empty, randn

PRODUCTS, OTHERS = 9, 5  # versions; the last product is of bfloat16
ROW = 1024  # of a softmax


def matmul(bench: Bench, n: int, version: int) -> tuple[Run, Run, torch.Tensor]:
    dtype = torch.bfloat16 if version == PRODUCTS else torch.float32
    a, b, c = randn(n, n, dtype=dtype), randn(n, n, dtype=dtype), empty(n, n, dtype=dtype)
    ours = bench.call("ladder matmul", version, [], a, b, c)
    return ours, lambda: torch.matmul(a, b), c


def transpose(bench: Bench, n: int, version: int) -> tuple[Run, Run, torch.Tensor]:
    x, out = randn(n, n), empty(n, n)
    return bench.call("ladder transpose", version, [], x.T, out), lambda: x.T.contiguous(), out


def reduction(bench: Bench, n: int, version: int) -> tuple[Run, Run, torch.Tensor]:
    x, out = randn(n), empty(1)
    ours = bench.call("ladder reduction", version, [], x, out)
    return ours, lambda: torch.sum(x, 0, keepdim=True), out


def softmax(bench: Bench, n: int, version: int) -> tuple[Run, Run, torch.Tensor]:
    x, out = randn(n, ROW), empty(n, ROW)
    return bench.call("ladder softmax", version, [], x, out), lambda: torch.softmax(x, 1), out


def ladders(bench: Bench) -> None:
    for make, n, work in (
        (matmul, 4096, {"flops": 2.0 * 4096**3}),
        (transpose, 8192, {"moved": 8.0 * 8192**2}),
        (reduction, 1 << 28, {"moved": 4.0 * 2**28}),
        (softmax, 1 << 16, {"moved": 8.0 * 2**16 * ROW}),
    ):
        for version in range(1, (PRODUCTS if make is matmul else OTHERS) + 1):
            versus_torch(bench, f"ladder {make.__name__} v{version}", make(bench, n, version), work)


def versus_torch(
    bench: Bench, name: str, runs: tuple[Run, Run, torch.Tensor], work: dict[str, float]
) -> None:
    ours, theirs, out = runs
    bench.case(name, ours, theirs, lambda: [(out, theirs())], **work)


PARTS = (ladders,)


def main() -> None:
    bench = Bench(sys.argv[1])
    for make, n in ((matmul, 128), (transpose, 256), (reduction, 1 << 16), (softmax, 64)):
        for version in range(1, (PRODUCTS if make is matmul else OTHERS) + 1):
            ours, _, _ = make(bench, n, version)
            torch.cuda.nvtx.range_push(f"{make.__name__} v{version}")
            ours()
            torch.cuda.nvtx.range_pop()
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
