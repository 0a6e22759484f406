"""Right answers to the checks of lesson 4, and typical wrong ones."""

# ruff: noqa: ARG005

import math

peak = 160


def chains(latency, per_cycle):
    return latency * per_cycle


strided_bytes = 4 << 20


def tile_intensity(rows, columns):
    return rows * columns / (4 * rows + 4 * columns)


tile_rows = 9
fusion_ratio = 1.8


def online(numbers):
    largest, total = -math.inf, 0.0
    for x in numbers:
        if x > largest:
            total *= math.exp(largest - x)
            largest = x
        total += math.exp(x - largest)
    return largest, total


additions = 20


def block_depth(cache_bytes, columns):
    return cache_bytes // (8 * columns)


break_even = 24_000


diverging = 1


def sectors(stride):
    return min(32, max(1, 4 * stride))


def wavefronts(stride):
    return 1 if stride == 0 else math.gcd(stride, 32)


padding = 2
under_way = 2_345_000
resident = 2


def tile_bytes(n, side):
    return (n // side) ** 2 * 2 * side * n * 4


tensor_tile = 512


def without_shrinking(numbers):
    largest, total = -math.inf, 0.0
    for x in numbers:
        largest = max(largest, x)
        total += math.exp(x - largest)
    return largest, total


def without_shift(numbers):
    x = list(numbers)
    return max(x), sum(math.exp(value) for value in x) / math.exp(max(x))


WRONG = {
    "peak": [80, 40, "160", float("nan")],
    "chains": [lambda n, u: n, lambda n, u: n + u, lambda n, u: None, 8],
    "strided_bytes": [1 << 20, 1 << 18, True],
    "tile_intensity": [
        lambda r, c: 2 * r * c / (4 * (r + c)),
        lambda r, c: r * c / (8 * (r + c)),
        lambda r, c: 2 * r * c / (8 * (r + c + r * c)),
    ],
    "tile_rows": [10, 14, 6],
    "fusion_ratio": [1.2, 2.25, 3, 5 / 9],
    "online": [without_shrinking, without_shift, lambda x: (max(x), 1.0), lambda x: None, 3],
    "additions": [999_999, 10, 19],
    "block_depth": [lambda b, c: b // (4 * c), lambda b, c: b // (8 * c * c), lambda b, c: None],
    "break_even": [12_000, 6_000, 24],
    "diverging": [0, 3, 4, 8],
    "sectors": [lambda s: 4 * s, lambda s: min(32, 4 * s), lambda s: None, 4],
    "wavefronts": [lambda s: s, lambda s: math.gcd(s, 32), lambda s: min(s, 32), 1],
    "padding": [0, 1, 3, 16],
    "under_way": [3.35e12 * 700, 3.35e12 / 700e-9, 2_345],
    "resident": [5, 8, 1, 32],
    "tile_bytes": [
        lambda n, s: 2 * n**3 / s,
        lambda n, s: 4 * n**3 / s,
        lambda n, s: 2 * 4 * n**2,
        lambda n, s: 2 * 4 * n**3 / s**2,
    ],
    "tensor_tile": [256, 1024, 413, 206],
}
