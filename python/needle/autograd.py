"""Gradients: on request, switched off, checked, and for operations written in Python (lesson 3)."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._core import (
    NDArray,
    Tensor,
    _apply_function,
    _grad,
    _GradSwitch,
    from_numpy,
    is_grad_enabled,
    randn,
)

__all__ = [
    "Function",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
]


class _Switch(contextlib.ContextDecorator):
    """A context manager and decorator around the C++ library's switch."""

    _enabled: bool

    def __init__(self) -> None:
        self._switch = _GradSwitch(self._enabled)

    def __enter__(self) -> None:
        self._switch.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._switch.__exit__(*exception)


class no_grad(_Switch):  # noqa: N801
    """`with no_grad():` records nothing, on this thread. Also a decorator: `@no_grad()`."""

    _enabled = False


class enable_grad(_Switch):  # noqa: N801
    """`with enable_grad():` records again inside no_grad(). Also a decorator."""

    _enabled = True


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the outputs with respect to the inputs; no .grad is touched.

    `gradients` are the factors of the outputs (the vector of a vector-Jacobian product); None
    stands for 1 of a one-element output. The result has one tensor per input, None where the
    outputs do not depend on it. With create_graph the result can be differentiated again.
    RuntimeError if an input needs no gradient.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if gradients is None or isinstance(gradients, Tensor):
        gradients = [gradients] * len(outputs) if gradients is None else [gradients]
    gradients = list(gradients)
    if len(gradients) != len(outputs):
        raise ValueError(f"grad: {len(gradients)} gradients for {len(outputs)} outputs")
    keep = create_graph if retain_graph is None else retain_graph
    return tuple(_grad(outputs, inputs, gradients, keep, create_graph))


class Context:
    """What forward() and backward() of a Function share. Set any attribute on it.

    In backward(), `inputs` are the inputs and `output` the output, as tensors in the graph.
    """

    inputs: tuple[Tensor, ...] | None = None
    output: Tensor | None = None


class Function:
    """An operation written in Python: subclass it, then call `MyOp.apply(x, y)`.

    forward(ctx, *arrays) gets NDArrays and returns one; backward(ctx, dy) gets and returns
    Tensors, one per input (or None), so that gradients written with needle's operations can be
    differentiated again. Arguments that are no tensors belong into attributes of the class.
    """

    @staticmethod
    def forward(ctx: Context, *arrays: NDArray) -> NDArray:
        """The output of the operation."""
        raise NotImplementedError("Function: write forward(ctx, *arrays)")

    @staticmethod
    def backward(ctx: Context, dy: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        """The gradient of each input from dy, the gradient of the output."""
        raise NotImplementedError("Function: write backward(ctx, dy)")

    @classmethod
    def apply(cls, *inputs: Tensor | NDArray) -> Tensor:
        """Runs forward() and records the operation if an input needs a gradient."""
        return _apply_function(cls, Context(), list(inputs))


def _check_inputs(name: str, inputs: Sequence[Any]) -> list[int]:
    """Which inputs are differentiated: the tensors with requires_grad, which must be float64."""
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(f"{name}: no input has requires_grad set")
    for i in wanted:
        if "float64" not in str(inputs[i].dtype):
            raise TypeError(
                f"{name}: input {i} is {inputs[i].dtype}; differences need needle.float64"
            )
    return wanted


def _numeric(function: Callable[..., Tensor], inputs: Sequence[Any], i: int, eps: float):
    """Central differences: rows are elements of input i, columns elements of the output."""
    values = inputs[i].detach().numpy().copy()
    rows = []
    for index in np.ndindex(values.shape):
        sides = []
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * eps
            arguments = list(inputs)
            arguments[i] = from_numpy(moved)
            with no_grad():
                sides.append(function(*arguments).detach().numpy().astype(np.float64).ravel())
        rows.append((sides[0] - sides[1]) / (2 * eps))
    return np.array(rows).reshape(values.size, -1)


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-6,
) -> bool:
    """Compares backward() with central differences for every input with requires_grad (float64).

    Every element of the Jacobian must agree to atol + rtol * |numeric|. Returns True, or raises
    RuntimeError naming the input, the element, and both values. The function must not be random.
    """
    inputs = list(inputs)
    wanted = _check_inputs("gradcheck", inputs)
    output = function(*inputs)
    if not output.requires_grad:
        raise RuntimeError("gradcheck: the function's output does not depend on the graph")
    analytic: dict[int, list[np.ndarray]] = {i: [] for i in wanted}
    for k in range(output.size):
        seed = np.zeros(output.size)
        seed[k] = 1
        found = grad(
            output,
            [inputs[i] for i in wanted],
            from_numpy(seed.reshape(output.shape)),
            retain_graph=True,
        )
        for i, g in zip(wanted, found, strict=True):
            zero = np.zeros(inputs[i].size)
            analytic[i].append(zero if g is None else g.detach().numpy().ravel())
    for i in wanted:
        numeric = _numeric(function, inputs, i, eps)
        exact = np.array(analytic[i]).reshape(output.size, inputs[i].size).T
        bad = ~(np.abs(exact - numeric) <= atol + rtol * np.abs(numeric))
        if bad.any():
            row, column = np.argwhere(bad)[0]
            at = tuple(int(n) for n in np.unravel_index(row, inputs[i].shape))
            to = tuple(int(n) for n in np.unravel_index(column, output.shape))
            raise RuntimeError(
                f"gradcheck: d output{list(to)} / d input {i}{list(at)}: "
                f"numeric {numeric[row, column]:.9g}, analytic {exact[row, column]:.9g}"
            )
    return True


def gradgradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-6,
) -> bool:
    """gradcheck of the gradient: whether backward(create_graph=True) differentiates rightly.

    The output's gradient is a random tensor, and is differentiated too.
    """
    inputs = list(inputs)
    wanted = _check_inputs("gradgradcheck", inputs)
    seed = randn(function(*inputs).shape, dtype="float64")
    seed.requires_grad = True

    def gradient(*arguments: Tensor) -> Tensor:
        *arguments, dy = arguments
        with enable_grad():
            # Differences come with plain copies; they need a gradient here all the same.
            arguments = [
                x.detach().requires_grad_() if i in wanted and not x.requires_grad else x
                for i, x in enumerate(arguments)
            ]
            found = grad(
                function(*arguments), [arguments[i] for i in wanted], dy, create_graph=True
            )
            total = None
            for position, g in enumerate(found):
                if g is None:
                    continue
                # Different weights, so that a mix-up of two gradients would show.
                term = (g * g).sum() * 0.5 + g.sum() * (1.0 + position)
                total = term if total is None else total + term
            return total

    return gradcheck(gradient, [*inputs, seed], eps=eps, atol=atol, rtol=rtol)
