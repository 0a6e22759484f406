"""The checks of lesson 3. The answers go into answers.py beside this file."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks import Check


def slopes(f: Callable, point: tuple[float, ...], h: float = 1e-5) -> tuple[float, ...]:
    """Central differences along each input."""
    found = []
    for i in range(len(point)):
        up, down = list(point), list(point)
        up[i] += h
        down[i] -= h
        found.append((f(*up) - f(*down)) / (2 * h))
    return tuple(found)


def near(want: Any, hint: str) -> Callable:
    """Verifies a number, or a tuple of numbers, to four digits."""

    def verify(value: Any) -> str | None:
        if isinstance(want, tuple) and (not isinstance(value, tuple) or len(value) != len(want)):
            return f"A tuple of {len(want)} numbers is wanted."
        try:
            right = np.allclose(np.asarray(value, float), want, rtol=1e-4, atol=1e-6)
        except (TypeError, ValueError):
            return "Numbers are wanted."
        return None if right else hint

    return verify


# The graph of the question: what each value is computed from.
GRAPH = {"a": "", "b": "", "u": "ab", "v": "u", "w": "uv", "y": "wb"}


def verify_order(value: Any) -> str | None:
    """Any order is right in which every value stands before all that it is computed from."""
    if not isinstance(value, str) or sorted(value) != sorted(GRAPH):
        return "The answer is a string with each of the six letters once."
    for name, inputs in GRAPH.items():
        for one in inputs:
            if value.index(one) < value.index(name):
                return f"When the turn comes to {one}, has {name} passed on its share?"
    return None


def verify_difference(value: Any) -> str | None:
    """difference(f, x): a slope to nine digits of functions that are smooth."""
    for name in ("exp", "sin", "tanh"):
        f = getattr(np, name)
        for x in (0.3, 1.0):
            got = value(f, x)
            if got is None:
                return "The function returns nothing yet."
            want = float(np.imag(f(x + 1e-30j)) / 1e-30)  # exact: the complex step
            if not abs(got - want) < 1e-9:
                return f"Off by {abs(got - want):.1e} for {name} at {x}: which difference, which h?"
    return None


def verify_loss_gradient(value: Any) -> str | None:
    """loss_gradient(logits, label) against differences of the loss."""
    rng = np.random.default_rng(2)
    for classes in (2, 3, 7):
        x = rng.normal(size=classes) * 3
        label = int(rng.integers(classes))
        got = value(x.copy(), label)
        if got is None:
            return "The function returns nothing yet."
        want = slopes(lambda *v, t=label: np.log(np.sum(np.exp(v))) - v[t], tuple(x))
        if np.shape(got) != (classes,):
            return f"The gradient of {classes} logits has {classes} elements."
        if not np.allclose(got, want, atol=1e-6):
            return "How do the predicted probabilities enter, and how the right ones?"
    huge = value(np.array([1000.0, 0.0]), 1)
    if not np.all(np.isfinite(huge)):
        return "Right for small logits, but look what happens at 1000."
    return None


A, B, DY = np.zeros((4, 7)), np.zeros((7, 5)), np.arange(20.0).reshape(4, 5)
ONES = np.ones((4, 7))

CHECKS = [
    Check(
        "partials",
        "dy/da and dy/db of y = a * a * b + b / a at a = 2, b = 3",
        near(
            slopes(lambda a, b: a * a * b + b / a, (2.0, 3.0)),
            "Write one line for each operation; a is used in three places.",
        ),
    ),
    Check(
        "dual_slope",
        "forward mode for y = x * sin(x), x = 2 with slope 1: the slope of y",
        near(
            slopes(lambda x: x * np.sin(x), (2.0,))[0],
            "The rule of the product, with the slope of the sine in it.",
        ),
    ),
    Check(
        "order",
        "u = a*b, v = exp(u), w = u*v, y = w+b: a topological order for backward",
        verify_order,
    ),
    Check(
        "jacobian_passes",
        "forward-mode passes for the whole Jacobian of a function of 3 inputs and 1000 outputs",
        near(
            min((3, 1000)),
            "What does one forward-mode pass give: a row of the Jacobian, or a column?",
        ),
    ),
    Check(
        "vjp_shapes",
        "Y = A B with A (4, 7), B (7, 5): the shapes of dA and dB",
        lambda value: (
            None
            if value == (A.shape, B.shape)
            else "A gradient of a number with respect to an array: one entry for each of what?"
        ),
    ),
    Check(
        "weight_gradient",
        "A (4, 7) of ones, dY = 0, 1, ... 19 as (4, 5): element (0, 2) of dB",
        near(
            float((ONES.T @ DY)[0, 2]),
            "Which elements of Y does this weight reach, and by which factor?",
        ),
    ),
    Check(
        "loss_gradient",
        "loss_gradient(logits, label): of the cross entropy of one row, in NumPy",
        verify_loss_gradient,
    ),
    Check(
        "difference",
        "difference(f, x): the slope of f at x to 1e-9, from values of f alone",
        verify_difference,
    ),
    Check(
        "segments",
        "a chain of 144 operations: the number of segments that keeps the fewest values alive",
        near(
            min(range(1, 145), key=lambda s: s + -(-144 // s)),
            "Two numbers are added, one grows with the segments, one shrinks.",
        ),
    ),
    Check(
        "hessian_vector",
        "f = x0^2 x1 + x1^3 at (1, 2): the Hessian times the vector (1, 1)",
        near(
            slopes(
                lambda t: 2 * (1 + t) * (2 + t),  # df/dx0 along (1, 1)
                (0.0,),
            )
            + slopes(lambda t: (1 + t) ** 2 + 3 * (2 + t) ** 2, (0.0,)),
            "Differentiate the gradient once more, along the direction of the vector.",
        ),
    ),
]
