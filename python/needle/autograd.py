"""Gradients: on request, switched off, checked, and for operations written in Python (lesson 3)."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._core import (
    HookHandle,
    NDArray,
    Tensor,
    _AnomalySwitch,
    _apply_function,
    _checkpoint,
    _grad,
    _GradSwitch,
    _hvp,
    _jacobian,
    _jvp,
    _vjp,
    concat,
    from_numpy,
    is_grad_enabled,
    randn,
    topological_order,
)
from ._draw import Drawing, draw

__all__ = [
    "Drawing",
    "Function",
    "HookHandle",
    "checkpoint",
    "detect_anomaly",
    "draw",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "hvp",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "no_grad",
    "topological_order",
    "vjp",
]


class _Switch(contextlib.ContextDecorator):
    """A context manager and decorator around one of the C++ library's switches."""

    _switch: _GradSwitch | _AnomalySwitch

    def __enter__(self) -> None:
        self._switch.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._switch.__exit__(*exception)


class no_grad(_Switch):  # noqa: N801
    """`with no_grad():` records nothing, on this thread. Also a decorator: `@no_grad()`."""

    def __init__(self) -> None:
        self._switch = _GradSwitch(False)


class enable_grad(_Switch):  # noqa: N801
    """`with enable_grad():` records again inside no_grad(). Also a decorator."""

    def __init__(self) -> None:
        self._switch = _GradSwitch(True)


class detect_anomaly(_Switch):  # noqa: N801
    """`with detect_anomaly():` finds where the first NaN or infinity comes from. Also a decorator.

    As soon as an operation, or its gradient, makes one of finite values, RuntimeError names the
    operation and the line of Python that called it. Every element is looked at: slow.
    """

    def __init__(self) -> None:
        self._switch = _AnomalySwitch()


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


def _tensors(name: str, what: str, given: Tensor | Sequence[Tensor]) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else list(given)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: {what} must be Tensors, got {type(t).__name__}")
    return tensors


def _like(inputs: Tensor | Sequence[Tensor], found: list[Tensor]) -> Any:
    """One tensor for one tensor, a tuple for a sequence."""
    return found[0] if isinstance(inputs, Tensor) else tuple(found)


def vjp(
    function: Callable[..., Tensor],
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """(function(*inputs), v^T J): one backward pass, J the Jacobian of the function.

    v has the shape of the output; None stands for 1 of a one-element output. The product has the
    structure and shapes of `inputs`. Both are outside the graph. TypeError for inputs that are not
    floating, ValueError for a v that does not fit.
    """
    output, products = _vjp(function, _tensors("vjp", "inputs", inputs), v)
    return output, _like(inputs, products)


def jvp(
    function: Callable[..., Tensor],
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """(function(*inputs), J v): the derivative of the function along v.

    v has the structure and shapes of `inputs`; the product has the shape of the output. Made of two
    backward passes, so the function must consist of operations that differentiate twice.
    """
    output, products = _jvp(function, _tensors("jvp", "inputs", inputs), _tensors("jvp", "v", v))
    return output, products[0]


def jacobian(function: Callable[..., Tensor], inputs: Tensor | Sequence[Tensor]) -> Any:
    """All derivatives d output / d input, of shape output.shape + input.shape for every input.

    One backward pass per element of the output. The result has the structure of `inputs`.
    """
    return _like(inputs, _jacobian(function, _tensors("jacobian", "inputs", inputs)))


def hvp(
    function: Callable[..., Tensor],
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor],
) -> tuple[Tensor, Any]:
    """(function(*inputs), H v), H the second derivatives of a function with a one-element output.

    v and the product have the structure and shapes of `inputs`. H is never made (Pearlmutter 1994).
    """
    output, products = _hvp(function, _tensors("hvp", "inputs", inputs), _tensors("hvp", "v", v))
    return output, _like(inputs, products)


def checkpoint(function: Callable[..., Tensor], *args: Any) -> Tensor:
    """function(*args), keeping nothing of what it computes for backward, which runs it again.

    Trades time for memory (Chen et al., arXiv 1604.06174). The function must compute the same every
    time; needle's default random generator is put back for it, so dropout drops the same elements.
    Gradients reach the tensors among `args` and those that the function uses otherwise, such as
    parameters. Checkpoints may be nested; backward(create_graph=True) through one is a
    RuntimeError. ValueError if no argument is a Tensor.
    """
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]

    def run(*tensors: Tensor) -> Tensor:
        arguments = list(args)
        for i, t in zip(places, tensors, strict=True):
            arguments[i] = t
        return function(*arguments)

    return _checkpoint(run, [args[i] for i in places])


class Context:
    """What forward() and backward() of a Function share. Set any attribute on it.

    In backward(), `inputs` are the inputs and `output` the output, as tensors in the graph.
    """

    inputs: tuple[Tensor, ...] | None = None
    output: Tensor | tuple[Tensor, ...] | None = None


class _Several:
    """A Function with several outputs, as one whose output is all of them in a row.

    The graph knows operations with one output; the pieces are views of it.
    """

    def __init__(self, cls: type["Function"]) -> None:
        self.cls, self.__name__ = cls, cls.__name__
        self.shapes: list[tuple[int, ...]] | None = None

    def forward(self, ctx: Context, *arrays: NDArray) -> NDArray:
        out = self.cls.forward(ctx, *arrays)
        if not isinstance(out, tuple):
            return out
        parts = [Tensor(x) for x in out]
        if len({p.dtype for p in parts}) != 1:
            raise TypeError(f"{self.__name__}.forward: the outputs must have one dtype")
        self.shapes = [p.shape for p in parts]
        return NDArray(concat([p.reshape(-1) for p in parts]))

    def pieces(self, row: Tensor) -> tuple[Tensor, ...]:
        parts, start = [], 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            parts.append(row[start:stop].reshape(shape))
            start = stop
        return tuple(parts)

    def backward(self, ctx: Context, dy: Tensor) -> Any:
        if self.shapes is None:
            return self.cls.backward(ctx, dy)
        ctx.output = self.pieces(ctx.output)
        return self.cls.backward(ctx, *self.pieces(dy))


class Function:
    """An operation written in Python: subclass it, then call `MyOp.apply(x, y)`.

    forward(ctx, *arrays) gets NDArrays and returns one; backward(ctx, dy) gets and returns
    Tensors, one per input (or None), so that gradients written with needle's operations can be
    differentiated again. Arguments that are no tensors belong into attributes of the class.

    forward() may also return a tuple of NDArrays of one dtype. Then apply() returns a tuple, and
    backward(ctx, *dys) gets one gradient per output, zeros for an output that was not used.
    """

    @staticmethod
    def forward(ctx: Context, *arrays: NDArray) -> NDArray | tuple[NDArray, ...]:
        """The output of the operation, or a tuple of outputs."""
        raise NotImplementedError("Function: write forward(ctx, *arrays)")

    @staticmethod
    def backward(ctx: Context, *dy: Tensor) -> Tensor | tuple[Tensor | None, ...]:
        """The gradient of each input from dy, the gradient of the output (of each output)."""
        raise NotImplementedError("Function: write backward(ctx, dy)")

    @classmethod
    def apply(cls, *inputs: Tensor | NDArray) -> Any:
        """Runs forward() and records the operation if an input needs a gradient."""
        operation = _Several(cls)
        output = _apply_function(operation, Context(), list(inputs))
        return output if operation.shapes is None else operation.pieces(output)


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
