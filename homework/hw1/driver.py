"""Homework 1, the part that runs with the student's code: carries out one case, returns raw arrays.

Nothing here knows what is right; that is in oracle.py, in another process.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided


def strided(data: np.ndarray, case: dict[str, Any]) -> np.ndarray:
    """The array that the case describes: data (n,), seen through shape, strides, offset."""
    strides = [stride * data.itemsize for stride in case["strides"]]
    return as_strided(data[case["offset"] :], case["shape"], strides)


def view_of(ndl: Any, case: dict[str, Any], change: Callable[[Any], Any]) -> list[np.ndarray]:
    """Shape and elements of a view, before and after its source is written to."""
    data = case["data"].copy()
    source = strided(data, case)
    view = change(ndl.from_numpy(source))
    before = view.numpy().copy()
    data += 1000
    return [np.array(view.shape, np.int64), before, view.numpy().copy()]


def compact_strides(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The strides of a new array."""
    return [np.array(ndl.empty(case["shape"]).strides, np.int64)]


def broadcast_shapes(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The shape of an operation between two."""
    return [np.array(ndl.broadcast_shapes(case["a"], case["b"]), np.int64)]


def reshape(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """A view, or a copy where the strides cannot express it."""
    return view_of(ndl, case, lambda x: x.reshape(case["to"]))


def permute(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Axes in another order."""
    return view_of(ndl, case, lambda x: ndl.permute(x, case["axes"]))


def broadcast_to(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """A larger shape over the same memory."""
    return view_of(ndl, case, lambda x: ndl.broadcast_to(x, case["to"]))


def slice_axis(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """x[:, ..., start:stop:step]."""
    key = (*[slice(None)] * case["axis"], slice(*case["slice"]))
    return view_of(ndl, case, lambda x: x[key])


def pass_on(ndl: Any) -> type:
    """An operation on any number of inputs that computes nothing: for graphs without kernels."""

    class PassOn(ndl.autograd.Function):
        value = ndl.from_numpy(np.zeros(1, np.float32)).detach()

        @staticmethod
        def forward(_ctx: Any, *arrays: Any) -> Any:
            return arrays[0]

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return (dy,) * len(ctx.inputs)

    return PassOn


SMALL_STACK = 256 << 10


def topological_order(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """On a small stack, which recursion exhausts soon."""
    threading.stack_size(SMALL_STACK)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ordered, ndl, case).result()


def ordered(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Of each node in the order: how many inputs, and their places in the order (-1: none)."""
    op = pass_on(ndl)
    made: list[Any] = []
    for inputs in case["graph"]:
        if inputs:
            made.append(op.apply(*[made[i] for i in inputs]))
        else:
            made.append(ndl.from_numpy(np.zeros(1, np.float32)).requires_grad_())
    order = ndl.autograd.topological_order(*[made[i] for i in case["roots"]])
    place = {node: i for i, node in enumerate(order)}
    counts, places = [], []
    for node in order:
        counts.append(len(node.inputs))
        places += [place.get(input_node, -1) for input_node in node.inputs]
    return [np.array(counts, np.int64), np.array(places, np.int64), np.array(len(place))]


UNARY = {"neg": lambda x: -x, "square": lambda x: x * x, "same": lambda x: x + x}


def build(ndl: Any, case: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The leaves of the case and all values of its program, elementwise on one shape."""
    leaves = [ndl.from_numpy(x.copy()).requires_grad_() for x in case["leaves"]]
    values = list(leaves)
    for name, *operands in case["program"]:
        x = [values[i] for i in operands]
        if name in UNARY:
            values.append(UNARY[name](x[0]))
        else:
            values.append({"add": ndl.add, "sub": ndl.sub, "mul": ndl.mul}[name](*x))
    return leaves, values


def array_or_nan(x: Any) -> np.ndarray:
    """A gradient, or NaN where there is none."""
    return np.array(np.nan) if x is None else x.numpy().copy()


def backward(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Gradients of leaves and of kept inner nodes, after one or more backward passes."""
    leaves, values = build(ndl, case)
    kept = [values[i] for i in case["keep"]]
    for x in kept:
        x.retain_grad()
        if case["how"] == "hook":
            x.register_hook(lambda g: g * 2)
    dy = ndl.from_numpy(case["dy"])
    if case["how"] == "grad":
        found = ndl.grad(values[-1], leaves + kept, dy)
        return [array_or_nan(g) for g in found] + [array_or_nan(x.grad) for x in leaves]
    if case["how"] == "second":
        (first,) = ndl.grad(values[-1], [leaves[0]], dy, create_graph=True)
        (first * first).backward(dy)
        return [array_or_nan(x.grad) for x in leaves]
    for turn in range(case["times"]):
        values[-1].backward(dy, retain_graph=turn + 1 < case["times"])
    try:  # the graph is used up now
        values[-1].backward(dy)
    except RuntimeError:
        freed = 1
    else:
        freed = 0
    return [array_or_nan(x.grad) for x in leaves + kept] + [np.array(freed)]


def leaves(ndl: Any, case: dict[str, Any], *names: str) -> list[Any]:
    """Tensors of the case's arrays that want a gradient."""
    return [ndl.from_numpy(case[name].copy()).requires_grad_() for name in names]


def sum_to(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The gradients of a + b, where a and b broadcast; or second ones, of a * b."""
    a, b = leaves(ndl, case, "a", "b")
    dy = ndl.from_numpy(case["dy"])
    if case["second"]:
        (da,) = ndl.grad(a * b, [a], dy, create_graph=True)
        return [array_or_nan(g) for g in ndl.grad((da * da).sum(), [b])]
    (a + b).backward(dy)
    return [array_or_nan(a.grad), array_or_nan(b.grad)]


def sum_gradient(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The gradient of a sum over some axes; or the second one, of the sum's square."""
    (x,) = leaves(ndl, case, "x")
    y, dy = x.sum(case["axes"], keepdims=case["keepdims"]), ndl.from_numpy(case["dy"])
    if case["second"]:
        (dx,) = ndl.grad(y * y, [x], dy, create_graph=True)
        return [array_or_nan(g) for g in ndl.grad((dx * dx).sum(), [x])]
    y.backward(dy)
    return [array_or_nan(x.grad)]


def matmul_gradient(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Both gradients of a @ b, and those of a further product made of one of them."""
    a, b = leaves(ndl, case, "a", "b")
    dy = ndl.from_numpy(case["dy"])
    y = a @ b
    if not case["second"]:
        y.backward(dy)
        return [array_or_nan(a.grad), array_or_nan(b.grad)]
    da, db = ndl.grad(y, [a, b], dy, create_graph=True)
    loss = (da * da).sum() + (db * db * db).sum()
    return [array_or_nan(g) for g in ndl.grad(loss, [a, b])]


def cross_entropy_gradient(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The loss times a factor: its gradient, or the gradient of that gradient's squared norm."""
    (logits,) = leaves(ndl, case, "logits")
    loss = ndl.cross_entropy(logits, ndl.from_numpy(case["labels"])) * case["factor"]
    if not case["second"]:
        loss.backward()
        return [array_or_nan(logits.grad)]
    (first,) = ndl.grad(loss, [logits], create_graph=True)
    return [array_or_nan(g) for g in ndl.grad((first * first).sum(), [logits])]


def logsumexp(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The value, and the gradient where it is asked for."""
    (x,) = leaves(ndl, case, "x")
    y = ndl.logsumexp(x, case["axes"], keepdims=case["keepdims"])
    out = [y.detach().numpy().copy()]
    if case["gradient"]:
        y.backward(ndl.from_numpy(case["dy"]))
        out.append(array_or_nan(x.grad))
    return out


def sgd(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The parameter after each step."""
    p = ndl.nn.Parameter(ndl.from_numpy(case["start"].copy()))
    optimizer = ndl.optim.SGD([p], **case["options"])
    seen = []
    for g in case["gradients"]:
        p.grad = ndl.from_numpy(g.copy())
        optimizer.step()
        seen.append(p.detach().numpy().copy())
    return seen


def train_epoch(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Mean loss and parameters after some passes over the batches."""
    nn = ndl.nn
    model = nn.Sequential(nn.Linear(*case["sizes"][:2]), nn.ReLU(), nn.Linear(*case["sizes"][1:]))
    for p, start in zip(model.parameters(), case["start"], strict=True):
        p.detach().numpy()[...] = start
    optimizer = ndl.optim.SGD(model.parameters(), lr=case["lr"], momentum=0.9)
    n = case["batch"]
    x, y = case["images"], case["labels"]
    batches = [
        (ndl.from_numpy(x[i : i + n]), ndl.from_numpy(y[i : i + n])) for i in range(0, len(x), n)
    ]
    losses = []
    for _ in range(case["epochs"]):
        mean = ndl.training.train_epoch(model, iter(batches), ndl.cross_entropy, optimizer)
        losses.append(float(mean))
    return [np.array(losses), *[p.detach().numpy().copy() for p in model.parameters()]]


QUESTIONS = {
    "compact_strides": compact_strides,
    "broadcast_shapes": broadcast_shapes,
    "reshape": reshape,
    "permute": permute,
    "broadcast_to": broadcast_to,
    "slice": slice_axis,
    "topological_order": topological_order,
    "backward": backward,
    "sum_to": sum_to,
    "sum_gradient": sum_gradient,
    "matmul_gradient": matmul_gradient,
    "cross_entropy_gradient": cross_entropy_gradient,
    "logsumexp": logsumexp,
    "sgd": sgd,
    "train_epoch": train_epoch,
}
