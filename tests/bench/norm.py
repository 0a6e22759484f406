"""softmax, the norms and cross entropy, against PyTorch: at the sizes of elementwise.py."""

from collections.abc import Callable
from typing import Any

from elementwise import ITEM, Case, Side, compare_cases, shape_of
from harness import Row, main

import needle as ndl


def softmax(name: str) -> Case:
    def make(side: Side, n: int) -> Callable[[], object]:
        x, function = side.random(*shape_of(n)), getattr(side.library, name)
        return lambda: function(x, -1)

    return Case(name, make, lambda n: 2 * ITEM * n)


def softmax_backward(name: str) -> Case:
    def make(side: Side, n: int) -> Callable[[], object]:
        x = side.random(*shape_of(n))
        x.requires_grad_()
        y, dy = getattr(side.library, name)(x, -1), side.random(*shape_of(n))
        return lambda: side.library.autograd.grad(y, x, dy, retain_graph=True)

    return Case(f"gradient of {name}", make, lambda n: 3 * ITEM * n)


def normalised(side: Side, name: str, n: int) -> tuple[Any, Callable[[], Any]]:
    """The operands of a norm, and the call."""
    shape = shape_of(n)
    operands = [side.random(*shape)] + [side.random(shape[1]) for _ in range(name == "layer_norm")]
    operands.append(side.random(shape[1]))
    function = getattr(side.functional, name)
    if side.library is ndl:
        return operands, lambda: function(*operands)
    return operands, lambda: function(operands[0], shape[1:], *operands[1:], eps=1e-5)


def norm(name: str) -> Case:
    return Case(name, lambda side, n: normalised(side, name, n)[1], lambda n: 2 * ITEM * n)


def norm_backward(name: str) -> Case:
    def make(side: Side, n: int) -> Callable[[], object]:
        operands, run = normalised(side, name, n)
        for x in operands:
            x.requires_grad_()
        y, dy = run(), side.random(*shape_of(n))
        return lambda: side.library.autograd.grad(y, operands, dy, retain_graph=True)

    return Case(f"gradients of {name}", make, lambda n: 3 * ITEM * n)


def cross_entropy(side: Side, n: int) -> tuple[Any, Callable[[], Any]]:
    """The logits, and the call."""
    rows, classes = shape_of(n)
    logits, labels = side.random(rows, classes), side.below(classes, rows)
    return logits, lambda: side.functional.cross_entropy(logits, labels)


def cross_entropy_backward(side: Side, n: int) -> Callable[[], object]:
    logits, run = cross_entropy(side, n)
    logits.requires_grad_()
    loss = run()
    return lambda: side.library.autograd.grad(loss, logits, retain_graph=True)


CASES = [
    *(softmax(name) for name in ("softmax", "log_softmax")),
    *(softmax_backward(name) for name in ("softmax", "log_softmax")),
    *(norm(name) for name in ("layer_norm", "rms_norm")),
    *(norm_backward(name) for name in ("layer_norm", "rms_norm")),
    Case("cross_entropy", lambda side, n: cross_entropy(side, n)[1], lambda n: ITEM * n),
    Case("gradient of cross_entropy", cross_entropy_backward, lambda n: 2 * ITEM * n),
]


def rows() -> list[Row]:
    """Every case, at every size, on one thread and on two."""
    return compare_cases("norm", CASES)


if __name__ == "__main__":
    main(rows)
