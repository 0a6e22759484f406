"""Homework 1, part B: cases and expectations for the gradients of single operations, by PyTorch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .arrays import Case, a_shape
from .graphs import or_nan, torch_gradients


def real(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    """Normal numbers."""
    return rng.standard_normal(shape).astype(dtype)


def gradients(y: torch.Tensor, x: list[torch.Tensor], dy: Any = 1.0) -> list[np.ndarray]:
    """Gradients of y with respect to x, as arrays."""
    return [or_nan(g) for g in torch_gradients(y, x, dy)]


def sum_to_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Pairs that broadcast, each axis of each operand stretched or missing somewhere."""
    fixed = [
        ((), (2,)), ((3,), (1,)), ((1,), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 3), (2, 1)),
        ((1, 3), (2, 1)), ((2, 3), ()), ((0, 3), (1, 3)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (3, 1)),
        ((1, 1), (2, 3)), ((4, 1, 3, 1), (2, 1, 5)),
    ]  # fmt: skip
    for second in (False, True):
        for a, b in fixed:
            yield sum_to_case(rng, a, b, second)
    for _ in range(20):
        full = a_shape(rng, int(rng.integers(1, 5)), 4)
        a, b = (
            tuple(1 if rng.random() < 0.4 else n for n in full)[int(rng.integers(0, len(full))) :]
            for _ in range(2)
        )
        yield sum_to_case(rng, a, b, second=False)


def sum_to_case(
    rng: np.random.Generator, a: tuple[int, ...], b: tuple[int, ...], second: bool
) -> Case:
    """Operands of the shapes, and the gradient of their sum."""
    dy = real(rng, np.broadcast_shapes(a, b))
    return {"a": real(rng, a), "b": real(rng, b), "dy": dy, "second": second}


def sum_to(case: Case) -> list[np.ndarray]:
    """PyTorch's gradients of a + b; or those of the squared gradient of a * b."""
    a, b = (torch.tensor(case[name], requires_grad=True) for name in ("a", "b"))
    if not case["second"]:
        return gradients(a + b, [a, b], case["dy"])
    (da,) = torch_gradients(a * b, [a], case["dy"], create_graph=True)
    return gradients((da * da).sum(), [b])


def sum_gradient_cases(rng: np.random.Generator) -> Iterator[Case]:
    """One axis, several, all; kept or dropped."""
    fixed: list[tuple[tuple[int, ...], Any]] = [
        ((), None), ((3,), None), ((3,), 0), ((2, 3), None), ((2, 3), 0), ((2, 3), 1),
        ((2, 3), -2), ((2, 1, 3), (0, 2)), ((2, 3, 4), 1), ((2, 3, 4), (0, 1, 2)), ((3, 0), 1),
        ((2, 3, 4), (-1, 0)),
    ]  # fmt: skip
    for second in (False, True):
        for shape, axes in fixed:
            for keepdims in (False, True):
                x = real(rng, shape)
                dy = real(rng, np.sum(x, axes, keepdims=keepdims).shape)
                yield {"x": x, "axes": axes, "keepdims": keepdims, "dy": dy, "second": second}


def sum_gradient(case: Case) -> list[np.ndarray]:
    """Every element gets the gradient of the sum that it went into; second ones by PyTorch."""
    x, axes = case["x"], case["axes"]
    dy = case["dy"].reshape(np.sum(x, axes, keepdims=True).shape)
    if not case["second"]:
        return [np.broadcast_to(dy, x.shape).copy()]
    x = torch.tensor(x, requires_grad=True)
    y = x.sum(tuple(range(x.ndim)) if axes is None else axes, keepdim=True)
    (dx,) = torch_gradients(y * y, [x], dy, create_graph=True)
    return gradients((dx * dx).sum(), [x])


def matmul_gradient_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Vectors, matrices, stacks of them; batch axes that broadcast; then second gradients."""
    fixed = [
        ((1, 1), (1, 1)), ((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)),
        ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)),
        ((1, 2, 3), (5, 3, 4)), ((4, 1, 2, 3), (5, 3, 2)), ((2, 0), (0, 3)), ((0, 3), (3, 2)),
        ((3, 2, 1, 4), (2, 4, 3)),
    ]  # fmt: skip
    for second in (False, True):
        for a, b in fixed:
            x, y = real(rng, a), real(rng, b)
            yield {"a": x, "b": y, "dy": real(rng, np.matmul(x, y).shape), "second": second}


def matmul_gradient(case: Case) -> list[np.ndarray]:
    """PyTorch's."""
    a, b = (torch.tensor(case[name], requires_grad=True) for name in ("a", "b"))
    if not case["second"]:
        return gradients(a @ b, [a, b], case["dy"])
    da, db = torch_gradients(a @ b, [a, b], case["dy"], create_graph=True)
    return gradients((da * da).sum() + (db * db * db).sum(), [a, b])


def cross_entropy_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Few and many classes, large logits, rows that do not count, a factor, second gradients."""
    for second in (False, True):
        for rows, classes, scale in [(1, 2, 1), (3, 4, 1), (5, 3, 30), (7, 10, 300), (4, 1, 1)]:
            for ignored in (0, 1):
                labels = rng.integers(0, classes, rows)
                if rows > 1:
                    labels[:ignored] = -100
                yield {
                    "logits": real(rng, (rows, classes)) * (1 if second else scale),
                    "labels": labels,
                    "factor": float(rng.uniform(0.5, 2)),
                    "second": second,
                }


def cross_entropy(case: Case) -> list[np.ndarray]:
    """PyTorch's."""
    logits = torch.tensor(case["logits"], requires_grad=True)
    labels = torch.tensor(case["labels"])
    loss = torch.nn.functional.cross_entropy(logits, labels) * case["factor"]
    (first,) = torch.autograd.grad(loss, [logits], create_graph=True)
    return gradients((first * first).sum(), [logits]) if case["second"] else [or_nan(first)]


def logsumexp_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Ordinary numbers, then those where exp() overflows or vanishes, then infinities."""
    fixed: list[tuple[tuple[int, ...], Any]] = [
        ((1,), 0), ((3,), 0), ((3,), None), ((2, 3), 0), ((2, 3), 1), ((2, 3, 4), (0, 2)),
        ((2, 3, 4), -2), ((2, 3), None), ((), None),
    ]  # fmt: skip
    for scale in (1, 1000):
        for shift in (0, -1000):
            for shape, axes in fixed:
                for keepdims in (False, True):
                    x = np.asarray(real(rng, shape) * scale + shift)
                    yield logsumexp_case(rng, x, axes, keepdims, gradient=True)
    inf = np.inf
    for row in ([inf, 0], [-inf, 0], [-inf, -inf], [inf, -inf], [inf, inf]):
        x = np.array([row, [1.0, 2.0]])
        yield logsumexp_case(rng, x, 1, keepdims=False, gradient=False)


def logsumexp_case(
    rng: np.random.Generator, x: np.ndarray, axes: Any, keepdims: bool, gradient: bool
) -> Case:
    """An input, and the gradient of the result."""
    dy = real(rng, np.zeros(x.shape).sum(axes, keepdims=keepdims).shape)
    return {"x": x, "axes": axes, "keepdims": keepdims, "gradient": gradient, "dy": dy}


def logsumexp(case: Case) -> list[np.ndarray]:
    """PyTorch's."""
    x = torch.tensor(case["x"], requires_grad=True)
    axes = tuple(range(x.ndim)) if case["axes"] is None else case["axes"]
    y = torch.logsumexp(x, axes, keepdim=case["keepdims"])
    out = [y.detach().numpy()]
    return out + gradients(y, [x], case["dy"]) if case["gradient"] else out
