"""What this machine can do at most, measured in the same run as the rungs."""

from dataclasses import dataclass

import needle as ndl

TRIES = 3  # a limit is the best of so many: a neighbour can only make it smaller


@dataclass(frozen=True)
class Limits:
    """FLOP/s of one thread and of all that are used; bytes/s of one thread by level of memory."""

    isa: str
    threads: int
    peak: float
    peak_all: float
    bandwidth: dict[str, float]


def measure(threads: int) -> Limits:
    """Takes about three seconds."""
    caches = ndl.cpu.caches()
    sizes = {
        "L1": caches.l1 // 2,
        "L2": caches.l2 // 2,
        "L3": max(caches.l3 // 4, 2 * caches.l2),
        "memory": min(4 * caches.l3, 512 << 20),
    }
    # Some cores load and store at once; then copying moves more than reading.
    bandwidth = {
        level: max(
            measure_it(size)
            for measure_it in (ndl.cpu.read_bandwidth, ndl.cpu.copy_bandwidth)
            for _ in range(TRIES)
        )
        for level, size in sizes.items()
    }
    peak = max(ndl.cpu.fma_peak() for _ in range(TRIES))
    peak_all = max(ndl.cpu.fma_peak(threads=threads) for _ in range(TRIES)) if threads > 1 else peak
    return Limits(ndl.cpu.isa(), threads, peak, peak_all, bandwidth)


def bandwidth_for(ladder: str, size_in_bytes: float, threads: int) -> float:
    """Bytes/s of copying (softmax) or reading (sum) as many bytes as the ladder moves."""
    measure_it = ndl.cpu.copy_bandwidth if ladder == "softmax" else ndl.cpu.read_bandwidth
    size = max(int(size_in_bytes), 4096 * 2 * threads)
    return max(measure_it(size, threads) for _ in range(TRIES))
