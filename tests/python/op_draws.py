"""Random arguments for every operation: shapes with 0, 1 and odd sizes, and awkward layouts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import needle as ndl

View = Callable[[Any], Any]
SIZES = (0, 1, 1, 2, 3, 4, 5, 7)


@dataclass
class Input:
    """A leaf, and what makes an awkward view of it, in needle and PyTorch alike."""

    base: np.ndarray
    view: View
    layout: str


@dataclass
class Call:
    """An operation on inputs, in both libraries."""

    inputs: list[Input]
    needle: Callable
    torch: Callable
    note: str = ""


class Draw:
    """Draws what an operation needs, all from one seed.

    hypothesis chooses the seed alone: given every choice, it tries variations of a few small cases
    first, which among 25 leaves too few with enough axes and elements.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, options: Any) -> Any:
        options = list(options)
        return options[self.between(0, len(options) - 1)]

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def flag(self) -> bool:
        return self.rng.random() < 0.5

    def shape(self, least: int = 0, most: int = 4, smallest: int = 0) -> tuple[int, ...]:
        sizes = [n for n in SIZES if n >= smallest]
        return tuple(self.one(sizes) for _ in range(self.between(least, most)))

    def axis(self, shape: tuple[int, ...]) -> int:
        return self.between(-len(shape), len(shape) - 1)

    def partner(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts with this one, to this one."""
        kept = shape[self.between(0, len(shape)) :]
        return tuple(1 if self.flag() else n for n in kept)

    def index(self, shape: tuple[int, ...], n: int) -> np.ndarray:
        return self.rng.integers(0, n, shape) if n else np.zeros(shape, np.int64)

    def values(self, shape: tuple[int, ...], kind: str) -> np.ndarray:
        """normal; positive: away from 0; kinked: all different and none near 0."""
        if kind == "normal":
            return self.rng.standard_normal(shape)
        if kind == "positive":
            return self.rng.uniform(0.4, 2.0, shape)
        n = int(np.prod(shape))
        values = (np.arange(n) + 1) * 0.17 * self.rng.choice([-1, 1], n)
        return self.rng.permutation(values).reshape(shape)

    def input(self, shape: tuple[int, ...], kind: str = "normal") -> Input:
        layouts = ["plain"]
        if shape:
            layouts += ["permuted", "sliced", "flipped"]
        if any(n > 1 for n in shape):
            layouts.append("broadcast")
        layout = self.one(layouts)
        base, view = list(shape), (lambda x: x)
        axis = self.between(0, len(shape) - 1) if shape else 0
        if layout == "permuted":
            order = tuple(self.rng.permutation(len(shape)).tolist())
            base = [shape[i] for i in np.argsort(order)]
            view = lambda x: x.permute(order)  # noqa: E731
        elif layout == "sliced":
            base[axis] = 2 * shape[axis] + 1
            key = (slice(None),) * axis + (slice(1, None, 2),)
            view = lambda x: x[key]  # noqa: E731
        elif layout == "flipped":
            view = lambda x: x.flip(axis)  # noqa: E731
        elif layout == "broadcast":
            axis = self.one(i for i, n in enumerate(shape) if n > 1)
            base[axis] = 1
            view = lambda x: x.broadcast_to(shape)  # noqa: E731
        return Input(self.values(tuple(base), kind), view, f"{layout} {shape}")


OPS: dict[str, Callable[[Draw], Call]] = {}


def op(*names: str) -> Callable:
    """Makes a function the source of calls of these operations."""

    def register(make: Callable) -> Callable:
        for name in names:
            OPS[name] = (lambda d, name=name: make(d, name)) if len(names) > 1 else make
        return make

    return register


def _unary(name: str, kind: str, torch_f: Callable) -> None:
    OPS[name] = lambda d: Call([d.input(d.shape(), kind)], getattr(ndl, name), torch_f)


for _name in ("neg", "exp", "sin", "cos", "tanh", "sigmoid", "erf"):
    _unary(_name, "normal", getattr(torch, _name))
for _name in ("log", "log1p", "sqrt", "rsqrt"):
    _unary(_name, "positive", getattr(torch, _name))
for _name in ("abs", "relu"):
    _unary(_name, "kinked", getattr(torch, _name))
_unary("gelu", "normal", F.gelu)
_unary("silu", "normal", F.silu)
_unary("contiguous", "normal", lambda x: x.contiguous())
_unary("cast", "normal", lambda x: x * 1)
_unary("to_device", "normal", lambda x: x * 1)
_unary("sum_to", "normal", lambda x: x * 1)
OPS["cast"] = lambda d: Call(
    [d.input(d.shape())], lambda x: ndl.cast(ndl.cast(x, "float64"), x.dtype), lambda x: x * 1
)
OPS["to_device"] = lambda d: Call(
    [d.input(d.shape())], lambda x: x.to("reference").to("cpu"), lambda x: x * 1
)


@op("add", "sub", "mul", "div", "maximum", "minimum", "sum_to")
def _binary(d: Draw, name: str) -> Call:
    shape = d.shape()
    kind = "kinked" if name.startswith("m") and name != "mul" else "normal"
    a = d.input(shape, kind)
    b = d.input(d.partner(shape), "positive" if name == "div" else kind)
    name = "add" if name == "sum_to" else name
    return Call([a, b], getattr(ndl, name), getattr(torch, name))


@op("pow")
def _pow(d: Draw) -> Call:
    shape = d.shape()
    inputs = [d.input(shape, "positive"), d.input(d.partner(shape))]
    return Call(inputs, ndl.pow, torch.pow)


@op("where", "masked_fill")
def _where(d: Draw, name: str) -> Call:
    shape = d.shape()
    mask = d.rng.random(d.partner(shape)) < 0.5
    ours, theirs = ndl.tensor(mask), torch.tensor(mask)
    if name == "masked_fill":
        return Call([d.input(shape)], lambda x: x.masked_fill(ours, 1.5),
                    lambda x: x.masked_fill(theirs, 1.5))  # fmt: skip
    return Call([d.input(shape), d.input(d.partner(shape))], lambda a, b: ndl.where(ours, a, b),
                lambda a, b: torch.where(theirs, a, b))  # fmt: skip


@op("clip")
def _clip(d: Draw) -> Call:
    return Call([d.input(d.shape(), "kinked")], lambda x: x.clip(-1.05, 1.05),
                lambda x: x.clip(-1.05, 1.05))  # fmt: skip


@op("sum", "mean", "var", "logsumexp", "max", "min")
def _reduction(d: Draw, name: str) -> Call:
    shape = d.shape(1, smallest=0 if name == "sum" else 1)
    axes = tuple(i for i in range(len(shape)) if d.flag()) or (0,)
    keep = d.flag()
    if name == "var" and np.prod([shape[i] for i in axes]) < 2:
        shape, axes = (3, *shape), (0,)
    torch_f = getattr(torch, {"max": "amax", "min": "amin"}.get(name, name))
    x = d.input(shape, "kinked" if name in ("max", "min") else "normal")
    return Call([x], lambda x: getattr(ndl, name)(x, axes, keepdims=keep),
                lambda x: torch_f(x, axes, keepdim=keep), f"axes {axes}")  # fmt: skip


@op("prod", "cumsum", "softmax", "log_softmax")
def _along_one(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis = d.axis(shape)
    return Call([d.input(shape)], lambda x: getattr(ndl, name)(x, axis),
                lambda x: getattr(torch, name)(x, axis), f"axis {axis}")  # fmt: skip


@op("reshape")
def _reshape(d: Draw) -> Call:
    shape = d.shape(0, 4)
    new = d.one([(int(np.prod(shape)),), (*shape, 1), (1, *shape[::-1])])
    return Call([d.input(shape)], lambda x: x.reshape(new), lambda x: x.reshape(new))


@op("permute", "transpose", "flip", "roll")
def _moved(d: Draw, name: str) -> Call:
    shape = d.shape(1)
    i, j = d.axis(shape), d.axis(shape)
    order = tuple(d.rng.permutation(len(shape)).tolist())
    shift = d.between(-9, 9)
    f = {
        "permute": lambda x: x.permute(order),
        "transpose": lambda x: x.transpose(i, j),
        "flip": lambda x: x.flip(i),
        "roll": lambda x: x.roll(shift, i) if shift % 2 else x.roll(shift),
    }[name]
    return Call([d.input(shape)], f, f, f"{order} {i} {j} {shift}")


@op("broadcast_to", "unsqueeze", "squeeze", "tile")
def _resized(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis = d.axis(shape)
    if name == "squeeze":
        shape = (*shape[:axis], 1, *shape[axis:][1:])
    larger = (2, *(3 if n == 1 else n for n in shape))
    repeats = tuple(d.between(0, 3) for _ in range(d.between(1, 4)))
    f = {
        "broadcast_to": lambda x: x.broadcast_to(larger),
        "unsqueeze": lambda x: x.unsqueeze(axis),
        "squeeze": lambda x: x.squeeze(axis),
        "tile": lambda x: x.tile(repeats),
    }[name]
    return Call([d.input(shape)], f, f, f"axis {axis}, repeats {repeats}")


@op("slice", "select", "split", "chunk", "pad")
def _parts(d: Draw, name: str) -> Call:
    shape = d.shape(1, smallest=int(name in ("select", "split")))
    axis = d.axis(shape)
    n = shape[axis]
    start, step, count = d.between(-8, 8), d.between(1, 3), d.between(1, 4)
    at = d.between(-n, n - 1) if name == "select" else 0
    widths = [d.between(-(m // 2), 3) for m in reversed(shape) for _ in range(2)]
    key = (slice(None),) * (axis % len(shape))
    f = {
        "slice": lambda x: x[(*key, slice(start, None, step))],
        "select": lambda x: x[(*key, at)],
        "split": lambda x: x.split(count, axis)[-1],
        "chunk": lambda x: x.chunk(count, axis)[0],
    }
    if name == "pad":
        return Call([d.input(shape)], lambda x: ndl.pad(x, widths, 0.5),
                    lambda x: F.pad(x, widths, value=0.5), f"widths {widths}")  # fmt: skip
    return Call([d.input(shape)], f[name], f[name], f"{axis} {start} {step} {count} {at}")


@op("concat", "stack")
def _joined(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis = d.axis(shape)
    sizes = [shape] * d.between(1, 3)
    if name == "concat":
        last = list(shape)
        last[axis] = d.one(SIZES)
        sizes.append(tuple(last))
    torch_f = torch.cat if name == "concat" else torch.stack
    return Call([d.input(s) for s in sizes], lambda *x: getattr(ndl, name)(x, axis),
                lambda *x: torch_f(x, axis), f"axis {axis}")  # fmt: skip


@op("as_strided")
def _as_strided(d: Draw) -> Call:
    n = d.between(1, 30)
    shape = d.shape(0, 3, 1)
    strides, reach = [], n - 1
    for size in shape:
        strides.append(d.between(0, reach // max(1, size - 1)))
        reach -= strides[-1] * (size - 1)
    offset = d.between(0, reach)
    base = Input(d.values((n,), "normal"), lambda x: x * 1, f"plain {n}")
    f = lambda x: x.as_strided(shape, strides, offset)  # noqa: E731
    return Call([base], f, f, f"{shape} {strides} {offset}")


def _matrices(shape: tuple[int, ...], d: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    m, k, n = (d.one(SIZES) for _ in range(3))
    batch, other = shape, d.partner(shape)
    return (*batch, m, k), (*other, k, n)


@op("matmul")
def _matmul(d: Draw) -> Call:
    a, b = _matrices(d.shape(0, 2), d)
    vector = d.between(0, 5)
    a = a[-1:] if vector == 0 else a
    b = b[-2:-1] if vector == 1 else b
    return Call([d.input(a), d.input(b)], ndl.matmul, torch.matmul)


@op("outer", "dot")
def _vectors(d: Draw, name: str) -> Call:
    n, m = d.one(SIZES), d.one(SIZES)
    inputs = [d.input((n,)), d.input((n if name == "dot" else m,))]
    return Call(inputs, getattr(ndl, name), getattr(torch, name))


@op("einsum")
def _einsum(d: Draw) -> Call:
    sizes = {c: d.one(SIZES) for c in "abcd"}
    terms = [
        "".join(d.rng.permutation(list("abcd"))[: d.between(0, 3)]) for _ in range(d.between(1, 3))
    ]
    letters = sorted(set("".join(terms)))
    result = "".join(d.rng.permutation([c for c in letters if d.flag()]))
    text = ",".join(terms) + ("->" + result if d.flag() else "")
    inputs = [d.input(tuple(sizes[c] for c in term)) for term in terms]
    return Call(inputs, lambda *x: ndl.einsum(text, *x), lambda *x: torch.einsum(text, *x), text)
