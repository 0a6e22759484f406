"""Homework 2, part B: cases of the CUDA kernels; what they compute, and what they may cost.

Groups: "right", values alone, on a GPU too, where there is one; "clean", with the simulator's
checks, in three orders of the threads; "counters", with its counts. `views` are steps that
driver.py takes on the device.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.homework.oracle import Difference, brief, compare

from .processor import product_case

Case = dict[str, Any]
ORDERS = ["normal", "reversed", "shuffled"]
SLACK = 1.1  # sectors may be so many times those that the data fill


def case_of(group: str, order: str = "normal", seed: int = 0, **args: Any) -> Case:
    """A case of a group. Those of "clean" and "counters" are watched by the simulator."""
    watch = "" if group == "right" else group
    given = {"device": "cuda_sim", "watch": watch, "order": order, "seed": seed}
    return {"group": group} | given | args


def clean(**args: Any) -> Iterator[Case]:
    """The same case in every order."""
    for seed, order in enumerate(ORDERS):
        yield case_of("clean", order, seed, **args)


def numbers(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    """Numbers of any dtype; integers of its whole range, large and small."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("int"):
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype)
    return rng.standard_normal(shape).astype(dtype)


def seen(case: Case) -> np.ndarray:
    """The case's array through its views."""
    x = case["x"]
    for step, *arguments in case["views"]:
        if step == "permute":
            x = x.transpose(arguments)
        elif step == "broadcast":
            x = np.broadcast_to(x, arguments)
        else:
            axis, start, stop, hop = arguments
            x = x[(*[slice(None)] * axis, slice(start, stop, hop))]
    return x


# --- copy ---

INNER = [("slice", 1, 1, -1, None)]
FLIPPED = [("slice", 1, None, None, -1)]
SECOND = [("slice", 1, None, None, 2)]
ROWS = [("slice", 0, None, None, -1), ("slice", 1, None, 3, None)]


def copy_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Slices, steps, flips, permuted and broadcast axes, of every width of an element."""
    for dtype in ("float32", "int64", "bool", "float16", "float64", "int32"):
        for views in (INNER, FLIPPED, SECOND, ROWS):
            yield case_of("right", x=numbers(rng, dtype, 3, 7), views=views)
        yield case_of("right", x=numbers(rng, dtype, 37, 101), views=FLIPPED)
    permuted = [("permute", 2, 0, 1, 3)]
    yield case_of("right", x=numbers(rng, "float32", 5, 3, 6, 7), views=permuted)
    yield case_of("right", x=numbers(rng, "int32", 5, 1), views=[("broadcast", 4, 5, 3)])
    for n in (1, 255, 256, 257, 511, 512, 513, 1025):
        yield case_of("right", x=numbers(rng, "int64", 1, n), views=FLIPPED)
    yield from clean(x=numbers(rng, "float32", 9, 99), views=INNER)
    yield from clean(x=numbers(rng, "int64", 7, 113), views=SECOND)
    for views in ([("slice", 1, None, 96, None)], FLIPPED):
        yield case_of("counters", x=numbers(rng, "int64", 32, 128), views=views)


def judge_copy(case: Case, got: list[np.ndarray]) -> Difference | None:
    """A copy of the view; a warp writes neighbours, and reads what lies as closely as it can."""
    return (
        wrong(np.ascontiguousarray(seen(case)), got)
        or found(case, got)
        or said(counted(case, got, seen(case).nbytes, seen(case).nbytes), got)
    )


# --- argmax ---


def argmax_case(group: str, x: np.ndarray, axis: int = 1, **more: Any) -> Case:
    """argmax over an axis, of at least 32 elements."""
    return case_of(group, x=x, axis=axis, smallest=False, views=[]) | more


def argmax_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Every dtype; ties, of which the first counts; NaN, which wins; axes that are not the last."""
    for n in (32, 33, 63, 97, 290):
        x = numbers(rng, "float32", 3, n)
        yield argmax_case("right", x)
        yield argmax_case("right", x, smallest=True)
    for dtype in ("float32", "float64", "int32", "int64", "bool"):
        yield argmax_case("right", rng.integers(0, 3, (9, 65)).astype(dtype))
        yield argmax_case("right", np.ones((2, 300), dtype), smallest=True)
        yield argmax_case("right", numbers(rng, dtype, 5, 131))
    for places in ([5], [40, 3], [64, 20, 50], [36, 4]):
        x = numbers(rng, "float32", 2, 70)
        x[0, places] = np.nan
        x[1, places[-1]] = np.inf
        yield argmax_case("right", x)
        yield argmax_case("right", x, smallest=True)
    yield argmax_case("right", np.full((2, 50), -np.inf, np.float32))
    yield argmax_case("right", numbers(rng, "float64", 45, 6), 0)
    yield argmax_case("right", numbers(rng, "int32", 5, 80), views=FLIPPED)
    yield argmax_case("right", numbers(rng, "float32", 2, 5000))
    x = rng.integers(0, 2, (5, 99)).astype(np.float32)
    for case in clean(x=x, axis=1, smallest=False, views=[]):
        yield case
        yield case | {"x": numbers(rng, "float64", 3, 301), "smallest": True}
    yield argmax_case("counters", numbers(rng, "float32", 40, 256))


def judge_argmax(case: Case, got: list[np.ndarray]) -> Difference | None:
    """NumPy's rules. The lanes of a warp exchange registers: no shared memory, no barrier."""
    find = np.argmin if case["smallest"] else np.argmax
    expected = np.asarray(find(seen(case), case["axis"]), np.int64)
    return (
        wrong(expected, got)
        or found(case, got)
        or said(counted(case, got, seen(case).nbytes, shared=0, barriers=0), got)
    )


# --- matmul ---


def matmul_case(
    rng: np.random.Generator, group: str, m: int, n: int, k: int, dtype: str, **more: Any
) -> Case:
    """Two matrices, as in part A."""
    return product_case(rng, m, n, k, dtype) | case_of(group) | more


def matmul_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Parts of tiles in each direction, every dtype and layout."""
    sizes = [(1, 1, 1), (2, 3, 5), (64, 64, 16), (65, 63, 17), (33, 70, 31), (5, 130, 100)]
    for dtype in ("float32", "float64", "bfloat16", "float16"):
        for m, n, k in sizes:
            yield matmul_case(rng, "right", m, n, k, dtype)
    for form in ((False, True), (True, False), (True, True)):
        yield matmul_case(rng, "right", 70, 67, 40, "float32", transposed=form)
    for form in ((False, False), (True, True)):
        case = matmul_case(rng, "clean", 70, 65, 37, "float32", transposed=form)
        for seed, order in enumerate(ORDERS):
            yield case | {"order": order, "seed": seed}
    for form in ((False, False), (False, True), (True, False)):
        yield matmul_case(rng, "counters", 128, 128, 128, "float32", transposed=form)


def judge_matmul(case: Case, got: list[np.ndarray]) -> Difference | None:
    """What is read is used again: 16 times from memory, twice from shared memory, at least."""
    y = case["a"].astype(np.float64) @ case["b"].astype(np.float64)
    y = y.astype(np.float64 if case["dtype"] == "float64" else np.float32)
    item, work = y.dtype.itemsize, case["a"].size * case["b"].shape[1]
    return (
        wrong(y, got)
        or found(case, got)
        or said(counted(case, got, work * item // 16, shared=1), got)
        or said(read_again(case, got, work * item), got)
    )


# --- transpose ---


def transpose_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Parts of tiles in both directions, every width of an element, batches."""
    shapes = [(8, 8), (33, 65), (97, 31), (64, 64), (129, 8), (3, 40, 50), (2, 3, 9, 70)]
    for dtype in ("float32", "float64", "float16", "bool"):
        for shape in shapes:
            yield case_of("right", x=numbers(rng, dtype, *shape), views=[])
    yield case_of("right", x=numbers(rng, "int32", 70, 90), views=INNER)
    for dtype in ("float32", "float64", "bool"):
        yield from clean(x=numbers(rng, dtype, 70, 45), views=[])
    yield from clean(x=numbers(rng, "float16", 66, 68), views=[])
    for dtype in ("float32", "float64"):
        yield case_of("counters", x=numbers(rng, dtype, 128, 192), views=[])


def judge_transpose(case: Case, got: list[np.ndarray]) -> Difference | None:
    """Neighbours are read and written together, each once, and no two lanes meet in a bank."""
    x = seen(case)
    return (
        wrong(np.ascontiguousarray(x.swapaxes(-1, -2)), got)
        or found(case, got)
        or said(counted(case, got, x.nbytes, x.nbytes, shared=1), got)
    )


# --- softmax ---


def softmax_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Rows of a warp, of a block, and longer ones; large numbers, infinities, NaN; views."""
    for log in (False, True):
        for dtype in ("float32", "float64"):
            for shape in ((3, 1), (2, 5), (9, 32), (5, 97), (1, 600), (2, 3, 129)):
                x = 3 * numbers(rng, dtype, *shape)
                yield case_of("right", x=x, log=log, views=[])
            x = 1000 * numbers(rng, dtype, 4, 77)
            yield case_of("right", x=x, log=log, views=[])
        x = numbers(rng, "float32", 5, 70)
        x[0, ::2], x[1, 3], x[2, 69], x[3, 4] = -np.inf, np.nan, np.inf, 1e30
        yield case_of("right", x=x, log=log, views=[])
        yield case_of("right", x=numbers(rng, "float32", 2, 9001), log=log, views=[])
        yield case_of("right", x=numbers(rng, "float64", 1, 4500), log=log, views=[])
        yield case_of("right", x=numbers(rng, "float32", 5, 90), log=log, views=SECOND)
        yield case_of("right", x=numbers(rng, "float64", 40, 6), log=log, views=[("permute", 1, 0)])
    yield from clean(x=numbers(rng, "float32", 5, 97), log=False, views=[])
    yield from clean(x=numbers(rng, "float32", 3, 1100), log=True, views=[])
    yield case_of("clean", x=numbers(rng, "float32", 1, 9001), log=False, views=[])
    for shape in ((32, 256), (4, 2048)):
        for log in (False, True):
            yield case_of("counters", x=numbers(rng, "float32", *shape), log=log, views=[])


def judge_softmax(case: Case, got: list[np.ndarray]) -> Difference | None:
    """A row that fits into registers is read once; a warp needs no barrier, a block few."""
    x = seen(case).astype(np.float64)
    with np.errstate(all="ignore"):
        shifted = x - x.max(-1, keepdims=True)
        total = np.exp(shifted).sum(-1, keepdims=True)
        y = shifted - np.log(total) if case["log"] else np.exp(shifted) / total
    barriers = 6 * x.shape[0] if x.shape[-1] > 512 else 0
    return (
        wrong(y.astype(case["x"].dtype), got)
        or found(case, got)
        or said(counted(case, got, case["x"].nbytes, case["x"].nbytes, barriers=barriers), got)
    )


# --- what a judge says ---

# As driver.py returns them.
COUNTS = ["units", "ideal", "requests", "bytes"]
PLACES = ["global_reads", "global_writes", "shared_reads", "shared_writes", "global_atomics"]
SECTOR = 32  # bytes


def wrong(expected: np.ndarray, got: list[np.ndarray]) -> Difference | None:
    """How the values differ."""
    return compare([expected], got[:1])


def found(case: Case, got: list[np.ndarray]) -> Difference | None:
    """The defects that the simulator found."""
    text = bytes(got[1]).decode(errors="replace") if case["watch"] else ""
    return said(f"the simulator, threads in {case['order']} order: {text}" if text else "", got)


def said(text: str, got: list[np.ndarray]) -> Difference | None:
    """A sentence, with the values."""
    return Difference(text, "", brief(got[:1])) if text else None


def count(got: list[np.ndarray], place: str, what: str) -> int:
    """One of the counts."""
    return int(got[2][PLACES.index(place), COUNTS.index(what)])


def counted(
    case: Case,
    got: list[np.ndarray],
    read: int,
    written: int = 0,
    shared: int | None = None,
    barriers: int | None = None,
) -> str:
    """Which count is over its limit. read, written: bytes of global memory that must move; written
    0: as it comes. shared: 0, no shared memory; 1, no bank conflict."""
    if case["watch"] != "counters":
        return ""
    if got[3][1] < 1:
        return "the kernel was not launched"
    for place, size in (("global_reads", read), ("global_writes", written)):
        units, most = count(got, place, "units"), int(SLACK * size / SECTOR)
        if size and units > most:
            what = place.replace("_", " ")
            return f"{what}: {units} sectors of {SECTOR} bytes; at most {most} are allowed"
    for place in ("shared_reads", "shared_writes"):
        units, ideal = count(got, place, "units"), count(got, place, "ideal")
        what = place.replace("_", " ")
        if shared == 0 and units:
            return f"{what}: {units} wavefronts; no shared memory is needed"
        if shared == 1 and units > ideal:
            return f"{what}: {units} wavefronts; without bank conflicts {ideal}"
    if count(got, "global_atomics", "requests"):
        return "atomics on global memory; none is needed"
    if barriers is not None and got[3][0] > barriers:
        return f"{int(got[3][0])} barriers of blocks; at most {barriers} are allowed"
    return ""


def read_again(case: Case, got: list[np.ndarray], most: int) -> str:
    """Whether too little of what comes from shared memory is used more than once."""
    size = count(got, "shared_reads", "bytes") if case["watch"] == "counters" else 0
    return f"{size} bytes of shared memory read; at most {most}" if size > most else ""
