"""Homework 2, part A: cases and expectations of the kernels of the processor, by NumPy."""

from collections.abc import Iterator
from typing import Any

import numpy as np

Case = dict[str, Any]
FLOATS = (np.float32, np.float64)
# All remainders of the widths of vectors, and some that are several vectors long.
TAILS = [*range(1, 18), 31, 32, 33, 63, 64, 65, 70]


# --- adamw ---


def adamw_case(rng: np.random.Generator, n: int, steps: int, dtype: type, **more: Any) -> Case:
    """A parameter of n elements with others around it, which must stay as they are."""
    options = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}
    first = int(rng.integers(1, 20))
    return {
        "memory": rng.standard_normal(first + n + 20).astype(dtype),
        "first": first,
        "gradients": rng.standard_normal((steps, n)).astype(dtype),
        "options": options,
        "rounds": 1,
        "threads": 1,
        "group": "right",
    } | more


def adamw_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Short ones with every tail, options one by one, several threads; a long one for the time."""
    for dtype in FLOATS:
        for n in TAILS:
            yield adamw_case(rng, n, 3, dtype)
    plain = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    for change in ({}, {"weight_decay": 0.5}, {"eps": 0.5}, {"betas": (0.0, 0.5)}):
        yield adamw_case(rng, 37, 5, np.float64, options=plain | change)
    yield adamw_case(rng, 100_003, 2, np.float32, threads=3)
    yield adamw_case(rng, 50_000, 2, np.float32, rounds=60, group="fast")


def adamw(case: Case) -> list[np.ndarray]:
    """Loshchilov & Hutter, "Decoupled weight decay regularization", algorithm 2."""
    memory, o = case["memory"].astype(np.float64), case["options"]
    gradients = case["gradients"].astype(np.float64)
    beta1, beta2 = o["betas"]
    n = gradients.shape[1]
    p, m, v = memory[case["first"] :][:n], np.zeros(n), np.zeros(n)
    for t in range(case["rounds"] * len(gradients)):
        g = gradients[t % len(gradients)]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        mean, square = m / (1 - beta1 ** (t + 1)), v / (1 - beta2 ** (t + 1))
        p -= o["lr"] * (mean / (np.sqrt(square) + o["eps"]) + o["weight_decay"] * p)
    return [memory.astype(case["memory"].dtype)]


# --- row_sum ---


def rows_case(x: np.ndarray, n: int, **more: Any) -> Case:
    """Rows of n elements; behind each stands NaN."""
    wide = np.full((x.shape[0], n + 17), np.nan, x.dtype)
    wide[:, :n] = x
    return {"x": wide, "n": n, "rounds": 1, "group": "right"} | more


def row_sum_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Every tail; infinities; long rows, whose sums in float32 alone would drift."""
    for dtype in FLOATS:
        for n in [*TAILS, 500, 4095, 4096, 4097, 9001]:
            yield rows_case(rng.uniform(0.5, 1.5, (2, n)).astype(dtype), n)
    special = np.ones((4, 77), np.float32)
    special[0, 76], special[1, 3], special[2, 40] = np.inf, -np.inf, np.nan
    special[3, [5, 60]] = np.inf, -np.inf
    yield rows_case(special, 77)
    for value in (0.1, 0.7):
        x = np.full((2, 1_000_003), value, np.float32)
        x[1] = np.linspace(0, value, x.shape[1], dtype=np.float32)
        yield rows_case(x, x.shape[1], group="accurate")
    x = rng.uniform(0.5, 1.5, (40, 4000)).astype(np.float32)
    yield rows_case(x, 4000, rounds=200, group="fast")


def row_sum(case: Case) -> list[np.ndarray]:
    """In float64, pairwise."""
    x = case["x"][:, : case["n"]]
    return [x.sum(1, dtype=np.float64).astype(x.dtype)]


# --- tile ---


def product_case(
    rng: np.random.Generator, m: int, n: int, k: int, dtype: str = "float32", **more: Any
) -> Case:
    """Two matrices. Of two bytes: small whole numbers, so that every sum is exact."""
    if dtype in {"float32", "float64"}:
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
    else:
        a, b = (rng.integers(-1, 2, shape).astype(np.float32) for shape in ((m, k), (k, n)))
    case = {"a": a, "b": b, "dtype": dtype, "transposed": (False, False), "rounds": 1}
    return case | {"group": "right"} | more


def tile_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Parts of tiles, several blocks of k, every layout and dtype; one for the time."""
    for dtype in ("float32", "float64"):
        for m, n, k in [(2, 2, 2), (3, 5, 4), (6, 16, 8), (14, 32, 3), (15, 33, 17), (61, 67, 63)]:
            yield product_case(rng, m, n, k, dtype)
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        for form in ((False, True), (True, False), (True, True)):
            yield product_case(rng, 37, 41, 70, dtype, transposed=form)
    for dtype in ("float32", "float64"):
        yield product_case(rng, 20, 37, 6000, dtype)
        yield product_case(rng, 300, 310, 290, dtype)
    yield product_case(rng, 33, 65, 200, "bfloat16")
    yield product_case(rng, 384, 384, 384, rounds=8, group="fast")


def product(case: Case) -> list[np.ndarray]:
    """In float64; a dtype of two bytes holds these sums exactly."""
    y = case["a"].astype(np.float64) @ case["b"].astype(np.float64)
    return [y.astype(np.float64 if case["dtype"] == "float64" else np.float32)]


# --- parallel ---


def loop_case(threads: int, n: int, grain: int, nested: bool = False) -> Case:
    """A loop to cut."""
    group = "nested" if nested else "cut"
    return {"threads": threads, "n": n, "grain": grain, "nested": nested, "group": group}


def parallel_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Loops of all kinds; loops within loops; and a kernel that is cut so."""
    for threads, n, grain in [(1, 5, 1), (2, 2, 1), (2, 10, 1), (3, 10, 1), (4, 3, 1), (2, 0, 1)]:
        yield loop_case(threads, n, grain)
    for threads, n, grain in [(2, 9, 10), (2, 19, 10), (2, 20, 10), (4, 35, 10), (3, 7, 0)]:
        yield loop_case(threads, n, grain)
    for _ in range(20):
        threads, grain = (int(i) for i in rng.integers(1, [9, 50]))
        yield loop_case(threads, int(rng.integers(0, 500)), grain)
    for threads, n in [(1, 7), (2, 7), (4, 100), (4, 0)]:
        yield loop_case(threads, n, 1, nested=True)
    for threads in (1, 2, 3, 7):
        x = rng.standard_normal(100_003)
        yield {"threads": threads, "x": x, "group": "loops"}


def judge_pieces(case: Case, got: list[np.ndarray]) -> str:
    """What is wrong with the pieces of a loop, or with what a kernel computes."""
    if "x" in case:
        wrong = ~np.isclose(got[0], np.exp(case["x"]), rtol=1e-12)
        return f"{int(wrong.sum())} of {wrong.size} elements differ" if wrong.any() else ""
    n, grain = case["n"], max(case["grain"], 1)
    pieces = [(int(begin), int(end)) for begin, end in got[0]]
    threads = 1 if case["nested"] else case["threads"]
    wanted = max(1, min(threads, n // grain)) if n else 0
    if len(pieces) != wanted:
        return f"{len(pieces)} pieces, {wanted} are expected"
    at = 0
    for begin, end in pieces:
        if begin != at:
            return f"a piece begins at {begin}, and those before it end at {at}"
        if end - begin not in {n // wanted, -(-n // wanted)}:
            return f"[{begin}, {end}) has another length than {n} / {wanted}"
        at = end
    return "" if at == n else f"the pieces end at {at}, not at {n}"
