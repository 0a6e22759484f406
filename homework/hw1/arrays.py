"""Homework 1, part A: cases and expectations for shapes, strides and views, by NumPy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

Case = dict[str, Any]
# What is right: arrays, or an exception of this class.
Answer = list[np.ndarray] | type[Exception]

SHAPES = [(), (1,), (5,), (2, 3), (3, 1), (1, 4, 1), (2, 3, 4), (3, 1, 2, 5), (2, 1, 3, 1, 2)]


def a_shape(rng: np.random.Generator, ndim: int, high: int = 5) -> tuple[int, ...]:
    """Sizes from 1 to high."""
    return tuple(int(n) for n in rng.integers(1, high + 1, ndim))


LAYOUTS = ("compact", "stepped", "permuted", "sliced")


def laid_out(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Case:
    """An array of the shape, its elements numbered by their place in memory, in some layout.

    stepped: every second element, so axes still follow one another; permuted: in another order;
    sliced: in another order, with gaps, forwards or backwards. An axis of size 1 has any stride.
    """
    ndim = len(shape)
    order = list(range(ndim))
    gap = 2 if kind in ("stepped", "sliced") else 1
    signs = [1] * ndim
    if kind in ("permuted", "sliced"):
        rng.shuffle(order)
    if kind == "sliced":
        signs = [int(s) for s in rng.choice([-1, 1], ndim)]
    strides, n = [0] * ndim, gap
    for axis in reversed(order):
        strides[axis] = n * signs[axis]
        n *= shape[axis] + (kind == "sliced")
    if kind != "compact":
        strides = [
            int(rng.integers(-7, 8)) if size == 1 else stride
            for size, stride in zip(shape, strides, strict=True)
        ]
    first = sum(
        (size - 1) * -stride for size, stride in zip(shape, strides, strict=True) if stride < 0
    )
    extra = int(rng.integers(0, 3))
    data = np.arange(n + extra + gap, dtype=np.float32)
    return {"data": data, "shape": shape, "strides": strides, "offset": first + extra}


def layouts(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[Case]:
    """One of each kind."""
    for kind in LAYOUTS:
        yield laid_out(rng, shape, kind)


def source_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The case's memory and the array in it."""
    data = case["data"].copy()
    strides = [stride * data.itemsize for stride in case["strides"]]
    return data, as_strided(data[case["offset"] :], case["shape"], strides)


def expect_view(case: Case, change: Any) -> Answer:
    """What driver.view_of returns, by NumPy's own views."""
    data, source = source_of(case)
    try:
        view = change(source)
    except IndexError:  # NumPy's AxisError is both
        return IndexError
    except ValueError:
        return ValueError
    before = view.copy()
    data += 1000
    return [np.array(view.shape, np.int64), before, view.copy()]


def compact_strides_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Shapes without a size of 0: strides of nothing mean nothing."""
    for shape in SHAPES:
        yield {"shape": shape}
    for _ in range(20):
        yield {"shape": a_shape(rng, int(rng.integers(2, 9)), 4)}


def compact_strides(case: Case) -> list[np.ndarray]:
    """Each stride is the number of elements behind one step of its axis."""
    shape = case["shape"]
    return [np.array([int(np.prod(shape[i + 1 :])) for i in range(len(shape))], np.int64)]


def broadcast_shapes_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Pairs that fit and pairs that do not, sizes 0 and 1 among them."""
    fixed = [
        ((), ()), ((), (3,)), ((3,), ()), ((3,), (1,)), ((1,), (3,)), ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (1, 3)), ((2, 3), (2,)), ((0,), (1,)), ((0,), (2,)), ((1, 0), (4, 1)),
        ((4, 1, 3), (2, 3)), ((4, 2, 3), (3, 3)), ((5, 1, 1, 2), (3, 1, 2)), ((1,), (1, 1, 1)),
    ]  # fmt: skip
    for a, b in fixed:
        yield {"a": a, "b": b}
    for _ in range(30):
        ndim = int(rng.integers(1, 6))
        full = a_shape(rng, ndim, 4)
        a, b = (
            tuple(1 if rng.random() < 0.3 else n for n in full)[int(rng.integers(0, ndim)) :]
            for _ in range(2)
        )
        if rng.random() < 0.3:
            a = tuple(n + int(rng.random() < 0.3) for n in a)
        yield {"a": a, "b": b}


def broadcast_shapes(case: Case) -> Answer:
    """NumPy's rule."""
    try:
        return [np.array(np.broadcast_shapes(case["a"], case["b"]), np.int64)]
    except ValueError:
        return ValueError


def reshape_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Groups of axes merged and split, in layouts where that is a view and where it is not."""
    fixed = [
        ((), (1,)), ((1,), ()), ((6,), (2, 3)), ((2, 3), (6,)), ((2, 3), (3, 2)), ((2, 3), (-1,)),
        ((4, 3), (2, 2, 3)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (2, 12)), ((2, 3, 4), (4, 6)),
        ((2, 1, 3), (2, 3)), ((1, 6, 1), (3, 1, 2)), ((2, 3, 4), (2, 1, 3, 1, 4)), ((0, 3), (3, 0)),
        ((4, 6), (2, 2, 3, 2)), ((2, 2, 3, 3), (4, 9)), ((2, 2, 3, 3), (2, 6, 3)),
        ((8, 1, 3), (2, 4, 3)),
    ]  # fmt: skip
    for shape, to in fixed:
        for case in layouts(rng, shape):
            yield case | {"to": to}
    for _ in range(40):
        factors = a_shape(rng, int(rng.integers(1, 6)), 3)
        shape, to = grouped(rng, factors), grouped(rng, factors)
        kind = LAYOUTS[int(rng.integers(0, len(LAYOUTS)))]
        yield laid_out(rng, shape, kind) | {"to": to}


def grouped(rng: np.random.Generator, factors: tuple[int, ...]) -> tuple[int, ...]:
    """Neighbouring factors multiplied together at random."""
    out = [1]
    for n in factors:
        if rng.random() < 0.5:
            out.append(1)
        out[-1] *= n
    return tuple(out)


def permute_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Permutations, negative axes, and lists that are none."""
    wrong = [
        ((2, 3), (0,)),
        ((2, 3), (0, 0)),
        ((2, 3), (0, -2)),
        ((2, 3), (0, 1, 2)),
        ((2, 3), (1, 2)),
    ]
    for shape, axes in [((), ()), ((4,), (0,)), ((2, 3), (1, 0)), ((2, 3, 4), (1, 2, 0)), *wrong]:
        for case in layouts(rng, shape):
            yield case | {"axes": axes}
    for _ in range(30):
        ndim = int(rng.integers(2, 6))
        axes = tuple(int(a) - ndim * int(rng.integers(0, 2)) for a in rng.permutation(ndim))
        yield laid_out(rng, a_shape(rng, ndim), "sliced") | {"axes": axes}


def permuted(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """np.transpose, but for what it says of axes out of range and of axes that are missing."""
    if any(not -x.ndim <= axis < x.ndim for axis in axes) and len(axes) == x.ndim:
        raise IndexError
    return np.transpose(x, axes)


def broadcast_to_cases(rng: np.random.Generator) -> Iterator[Case]:
    """New axes on the left, sizes 1 stretched, and shapes that do not fit."""
    fixed = [
        ((), ()), ((), (3,)), ((1,), (4,)), ((3,), (2, 3)), ((2, 1), (2, 5)), ((1, 3), (2, 3)),
        ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), ()), ((3, 3), (3,)), ((2, 3), (2, 1)),
        ((1,), (0,)),
        ((2,), (1,)),
        ((1, 3, 1), (4, 2, 3, 5)), ((2, 3), (4, 1, 2, 3)),
    ]  # fmt: skip
    for shape, to in fixed:
        for case in layouts(rng, shape):
            yield case | {"to": to}
    for _ in range(30):
        to = a_shape(rng, int(rng.integers(1, 6)), 4)
        shape = tuple(1 if rng.random() < 0.4 else n for n in to)[int(rng.integers(0, len(to))) :]
        yield laid_out(rng, shape, "sliced") | {"to": to}


def slice_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Every kind of bound and step on short axes, then random ones on random arrays."""
    bounds = [None, 0, 1, 3, 4, 5, 9, -1, -3, -4, -5, -9]
    for start in bounds:
        for stop in bounds:
            for step in (1, 2, 3, -1, -2, -3):
                case = laid_out(rng, (4,), "compact")
                yield case | {"axis": 0, "slice": (start, stop, step)}
    yield laid_out(rng, (4,), "compact") | {"axis": 0, "slice": (None, None, 0)}
    extremes = [-(2**63), -(2**62), None, 2**62, 2**63 - 1]
    for start in extremes:
        for stop in extremes:
            for step in (-(2**63), -1, 1, 2**63 - 1):
                case = laid_out(rng, (4,), "compact")
                yield case | {"axis": 0, "slice": (start, stop, step)}
    for _ in range(40):
        shape = a_shape(rng, int(rng.integers(1, 5)), 6)
        axis = int(rng.integers(0, len(shape)))
        start, stop = (None if rng.random() < 0.3 else int(rng.integers(-9, 10)) for _ in range(2))
        step = int(rng.choice([-(2**62), -7, -2, -1, 1, 2, 7, 2**62]))
        case = laid_out(rng, shape, "sliced")
        yield case | {"axis": axis, "slice": (start, stop, step)}


def expect_slice(case: Case) -> Answer:
    """NumPy's slices."""
    key = (*[slice(None)] * case["axis"], slice(*case["slice"]))
    return expect_view(case, lambda x: x[key])
