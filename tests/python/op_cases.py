"""The table of operations: each on given inputs, in needle and in PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import needle as ndl

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return RNG.uniform(0.3, 2.0, shape)


def kinked(*shape: int) -> np.ndarray:
    """All different, and none near 0, so that no kink lies within a difference quotient."""
    n = int(np.prod(shape))
    values = (np.arange(n) + 1) * 0.37 * np.where(np.arange(n) % 2, 1, -1)
    return RNG.permutation(values).reshape(shape)


@dataclass
class Case:
    """An operation on given inputs, in needle and in PyTorch. ints stay without gradient."""

    name: str
    inputs: Sequence[np.ndarray]
    needle: Callable
    torch: Callable
    smooth: bool = True
    label: str = ""

    def __str__(self) -> str:
        return self.name + self.label


def unary(name: str, make: Callable = normal, torch_f: Callable | None = None, smooth: bool = True):
    f = torch_f or getattr(torch, name)
    return Case(name, [make(3, 4)], getattr(ndl, name), f, smooth)


def binary(name: str, a: np.ndarray, b: np.ndarray, torch_name: str = "", smooth: bool = True):
    return Case(name, [a, b], getattr(ndl, name), getattr(torch, torch_name or name), smooth)


def reduction(name: str, f: Callable, torch_f: Callable, x: np.ndarray, smooth: bool = True):
    label = f"[{f.__code__.co_firstlineno}]"
    return Case(name, [x], f, torch_f, smooth, label)


LABELS = np.array([1, 4, -100, 0, 2])
INDEX = np.array([[0, 3], [3, 1]])
ANGLES = np.random.default_rng(3).uniform(0, 6, (5, 2))
WEIGHT = np.random.default_rng(4).standard_normal(6)
MASK = np.random.default_rng(5).random((3, 4)) < 0.5

PICKS = np.array([[2, 0, -1, 1], [0, 0, 1, 3], [1, 1, 1, -4]])
MEAN, VAR = np.array([0.3, -0.2]), np.array([0.5, 2.0])


def torch_rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def torch_sdpa(causal: bool, scale: float | None = None) -> Callable:
    def f(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        tq, tk = q.shape[2], k.shape[2]
        mask = torch.ones(tq, tk, dtype=torch.bool).tril(tk - tq) if causal else None
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)

    return f


def sdpa(**options: object) -> Callable:
    return lambda q, k, v: ndl.scaled_dot_product_attention(q, k, v, **options)


EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 2)),
    ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ba", (3, 4)),
    ("i,j", (3,), (4,)),
    ("i,i", (3,), (3,)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ik,il->jkl", (3, 2), (3, 4), (3, 2)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("bij,jk", (2, 3, 4), (4, 5)),
    ("i...,i", (3, 4, 2), (3,)),
    ("ij,jk->ik", (3, 1), (4, 2)),
    ("ij,kl->", (3, 2), (2, 2)),
    (" i j , j -> i ", (3, 4), (4,)),
    ("...", ()),
]


def einsum(text: str, *inputs: np.ndarray) -> Case:
    def torch_f(*x: torch.Tensor) -> torch.Tensor:
        return torch.einsum(text, *x)

    return Case("einsum", inputs, lambda *x: ndl.einsum(text, *x), torch_f, label=f"[{text}]")


CASES = [
    unary("neg"),
    unary("abs", kinked, smooth=False),
    unary("exp"),
    unary("log", positive),
    unary("log1p", positive),
    unary("sqrt", positive),
    unary("rsqrt", positive),
    unary("sin"),
    unary("cos"),
    unary("tanh"),
    unary("sigmoid"),
    unary("relu", kinked, smooth=False),
    unary("gelu", torch_f=F.gelu),
    unary("silu", torch_f=F.silu),
    unary("erf"),
    binary("add", normal(3, 4), normal(4)),
    binary("sub", normal(3, 1), normal(2, 1, 4)),
    binary("mul", normal(3, 4), normal(3, 4)),
    binary("div", normal(3, 4), positive(3, 1)),
    binary("pow", positive(3, 4), normal(4)),
    binary("maximum", kinked(3, 4), kinked(4) + 0.1, smooth=False),
    binary("minimum", kinked(3, 4), kinked(4) + 0.1, smooth=False),
    Case("where", [normal(3, 4), normal(4)], lambda a, b: ndl.where(ndl.tensor(MASK), a, b),
         lambda a, b: torch.where(torch.tensor(MASK), a, b)),
    Case("clip", [kinked(3, 4)], lambda x: x.clip(-1.0, 2.0), lambda x: x.clamp(-1.0, 2.0), False),
    Case("cast", [normal(3)], lambda x: ndl.cast(x, "float64").to(x.dtype) * 2, lambda x: x * 2),
    Case("to_device", [normal(3)], lambda x: x.to("reference").exp().to("cpu"), torch.exp),
    Case("contiguous", [normal(3, 4)], lambda x: x.transpose(0, 1).contiguous(), lambda x: x.T),
    reduction("sum", lambda x: x.sum(), lambda x: x.sum(), normal(3, 4)),
    reduction("sum", lambda x: x.sum(axis=(0, 2)), lambda x: x.sum((0, 2)), normal(2, 3, 4)),
    reduction("mean", lambda x: x.mean(dim=-1, keepdims=True), lambda x: x.mean(-1, True),
              normal(3, 4)),
    reduction("var", lambda x: x.var(1), lambda x: x.var(1), normal(3, 4)),
    reduction("var", lambda x: ndl.var(x, correction=0), lambda x: x.var(correction=0),
              normal(3, 4)),
    reduction("max", lambda x: x.max(1), lambda x: x.amax(1), kinked(3, 4), False),
    reduction("max", lambda x: x.max(), lambda x: x.max(), kinked(3, 4), False),
    reduction("min", lambda x: x.min((0, 1)), lambda x: x.amin((0, 1)), kinked(3, 4), False),
    reduction("prod", lambda x: x.prod(0), lambda x: x.prod(0), normal(3, 4)),
    reduction("logsumexp", lambda x: x.logsumexp(-1), lambda x: x.logsumexp(-1), normal(3, 4)),
    Case("sum_to", [normal(4), normal(3, 1, 1)], lambda a, b: a * b, lambda a, b: a * b),
    Case("reshape", [normal(3, 4)], lambda x: x.transpose(0, 1).reshape(2, -1),
         lambda x: x.T.reshape(2, -1)),
    Case("permute", [normal(2, 3, 4)], lambda x: x.permute(2, 0, 1), lambda x: x.permute(2, 0, 1)),
    Case("transpose", [normal(2, 3, 4)], lambda x: x.transpose(0, -1),
         lambda x: x.transpose(0, -1)),
    Case("broadcast_to", [normal(3, 1)], lambda x: x.broadcast_to((2, 3, 4)),
         lambda x: x.broadcast_to((2, 3, 4))),
    Case("unsqueeze", [normal(3)], lambda x: x.unsqueeze(-1), lambda x: x.unsqueeze(-1)),
    Case("squeeze", [normal(3, 1)], lambda x: x.squeeze(1), lambda x: x.squeeze(1)),
    Case("flip", [normal(3, 4)], lambda x: x.flip(1), lambda x: x.flip(1)),
    Case("slice", [normal(5, 6)], lambda x: x[1:4, ::2], lambda x: x[1:4, ::2]),
    Case("select", [normal(5, 6)], lambda x: x[:, -2], lambda x: x[:, -2]),
    Case("concat", [normal(2, 3), normal(2, 1)], lambda a, b: ndl.concat([a, b], 1),
         lambda a, b: torch.cat([a, b], 1)),
    Case("stack", [normal(2, 3), normal(2, 3)], lambda a, b: ndl.stack([a, b], -1),
         lambda a, b: torch.stack([a, b], -1)),
    Case("split", [normal(5, 2)], lambda x: x.split((2, 3))[1] * x.split(2)[0].sum(),
         lambda x: x.split((2, 3))[1] * x.split(2)[0].sum()),
    binary("matmul", normal(3, 4), normal(4, 2)),
    binary("matmul", normal(2, 1, 3, 4), normal(5, 4, 2)),
    binary("matmul", normal(4), normal(2, 4, 3)),
    binary("matmul", normal(4), normal(4)),
    unary("softmax", torch_f=lambda x: F.softmax(x, -1)),
    Case("softmax", [normal(3, 4)], lambda x: x.softmax(dim=0), lambda x: F.softmax(x, 0)),
    unary("log_softmax", torch_f=lambda x: F.log_softmax(x, -1)),
    Case("cross_entropy", [normal(5, 6)], lambda x: ndl.cross_entropy(x, ndl.tensor(LABELS)),
         lambda x: F.cross_entropy(x, torch.tensor(LABELS))),
    Case("cross_entropy", [normal(5, 6)],
         lambda x: ndl.cross_entropy(x, ndl.tensor(LABELS), label_smoothing=0.2),
         lambda x: F.cross_entropy(x, torch.tensor(LABELS), label_smoothing=0.2),
         label="[smoothing]"),
    Case("mse_loss", [normal(3, 4), normal(3, 4)], ndl.mse_loss, F.mse_loss),
    Case("rms_norm", [normal(3, 6), normal(6)], lambda x, w: ndl.rms_norm(x, w, eps=1e-3),
         lambda x, w: F.rms_norm(x, (6,), w, 1e-3)),
    Case("layer_norm", [normal(3, 6), normal(6), normal(6)], ndl.layer_norm,
         lambda x, w, b: F.layer_norm(x, (6,), w, b)),
    Case("embedding", [normal(4, 3)], lambda x: ndl.embedding(x, ndl.tensor(INDEX)),
         lambda x: F.embedding(torch.tensor(INDEX), x)),
    Case("dropout", [normal(3, 4)], lambda x: x.dropout(0.3, training=False), lambda x: x),
    Case("rotary_embedding", [normal(2, 3, 5, 4)],
         lambda x: ndl.rotary_embedding(
             x, ndl.tensor(np.cos(ANGLES)).to(x.dtype), ndl.tensor(np.sin(ANGLES)).to(x.dtype)),
         lambda x: torch_rotary(
             x, torch.tensor(np.cos(ANGLES)).to(x), torch.tensor(np.sin(ANGLES)).to(x))),
    Case("scaled_dot_product_attention",
         [normal(2, 4, 3, 2), normal(2, 2, 3, 2), normal(2, 2, 3, 2)], sdpa(), torch_sdpa(False)),
    Case("scaled_dot_product_attention",
         [normal(1, 2, 2, 4), normal(1, 1, 5, 4), normal(1, 1, 5, 4)],
         sdpa(is_causal=True, scale=0.3), torch_sdpa(True, 0.3), label="[causal]"),
    Case("cumsum", [normal(3, 5)], lambda x: x.cumsum(1), lambda x: x.cumsum(1)),
    Case("pad", [normal(3, 4)], lambda x: x.pad([1, 2, 0, 3], 0.5),
         lambda x: F.pad(x, [1, 2, 0, 3], value=0.5)),
    Case("pad", [normal(3, 4)], lambda x: x.pad([-1, 2, -1, -1]),
         lambda x: F.pad(x, [-1, 2, -1, -1]), label="[cut]"),
    Case("roll", [normal(3, 4)], lambda x: x.roll((1, -6), (0, 1)),
         lambda x: x.roll((1, -6), (0, 1))),
    Case("roll", [normal(3, 4)], lambda x: x.roll(5), lambda x: x.roll(5), label="[flat]"),
    Case("tile", [normal(3, 4)], lambda x: x.tile(2, 1, 3), lambda x: x.tile(2, 1, 3)),
    Case("chunk", [normal(5, 2)], lambda x: x.chunk(3)[0] * x.chunk(3)[2],
         lambda x: x.chunk(3)[0] * x.chunk(3)[2]),
    Case("as_strided", [normal(3, 4)], lambda x: x.as_strided((4, 3), (2, 1), 1) ** 2,
         lambda x: x.as_strided((4, 3), (2, 1), 1) ** 2),
    Case("as_strided", [normal(3, 4)],
         lambda x: (x * 2).transpose(0, 1)[1:].as_strided((2, 2, 3), (1, 0, 4), 1),
         lambda x: (x * 2).T[1:].as_strided((2, 2, 3), (1, 0, 4), 1), label="[of a view]"),
    Case("gather", [normal(3, 4)], lambda x: x.gather(1, ndl.tensor(PICKS[:2] % 4)),
         lambda x: x.gather(1, torch.tensor(PICKS[:2] % 4))),
    Case("gather", [normal(3, 5)], lambda x: x.gather(0, ndl.tensor(PICKS % 3)),
         lambda x: x.gather(0, torch.tensor(PICKS % 3)), label="[0]"),
    Case("take_along_dim", [normal(3, 1)], lambda x: x.take_along_dim(ndl.tensor(PICKS % 3), 0),
         lambda x: x.take_along_dim(torch.tensor(PICKS % 3), 0)),
    Case("take_along_dim", [normal(3, 4)], lambda x: x.take_along_dim(ndl.tensor(PICKS)),
         lambda x: x.take_along_dim(torch.tensor(PICKS % 12)), label="[flat]"),
    Case("index_select", [normal(3, 4)], lambda x: x.index_select(1, ndl.tensor(PICKS[0])),
         lambda x: x[:, PICKS[0]]),
    Case("scatter_add", [normal(3, 4), normal(3, 4)],
         lambda x, s: x.scatter_add(0, ndl.tensor(PICKS % 3), s),
         lambda x, s: x.scatter_add(0, torch.tensor(PICKS % 3), s)),
    Case("gather_rows", [normal(4, 3)], lambda x: x.index_select(0, ndl.tensor(PICKS[0])),
         lambda x: x[PICKS[0]]),
    Case("scatter_rows", [normal(4, 3)],
         lambda x: x[ndl.tensor(INDEX)] ** 2, lambda x: x[INDEX] ** 2),
    Case("masked_fill", [normal(2, 3, 4)], lambda x: x.masked_fill(ndl.tensor(MASK), -2.5),
         lambda x: x.masked_fill(torch.tensor(MASK), -2.5)),
    Case("sort", [kinked(3, 5)], lambda x: x.sort()[0], lambda x: x.sort()[0]),
    Case("sort", [kinked(3, 5)], lambda x: x.sort(0, descending=True)[0],
         lambda x: x.sort(0, descending=True)[0], label="[descending]"),
    Case("topk", [kinked(4, 5)], lambda x: x.topk(3)[0], lambda x: x.topk(3)[0]),
    Case("topk", [kinked(4, 5)], lambda x: x.topk(2, 0, False)[0],
         lambda x: x.topk(2, 0, False)[0], label="[smallest]"),
    binary("outer", normal(3), normal(4)),
    binary("dot", normal(4), normal(4)),
    *[einsum(text, *[normal(*shape) for shape in shapes]) for text, *shapes in EINSUMS],
    Case("conv2d", [normal(2, 3, 5, 6), normal(4, 3, 3, 2), normal(4)], ndl.conv2d, F.conv2d),
    Case("conv2d", [normal(2, 4, 7, 6), normal(6, 2, 3, 2)],
         lambda x, w: ndl.conv2d(x, w, None, (2, 1), (1, 2), (1, 2), 2),
         lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 2), (1, 2), 2), label="[options]"),
    Case("conv_transpose2d", [normal(2, 4, 3, 2), normal(4, 3, 3, 2), normal(6)],
         lambda x, w, b: ndl.conv_transpose2d(x, w, b, (3, 2), (1, 0), (2, 1), 2, (1, 2)),
         lambda x, w, b: F.conv_transpose2d(x, w, b, (3, 2), (1, 0), (2, 1), 2, (1, 2))),
    Case("conv_transpose2d", [normal(1, 2, 3, 2), normal(2, 1, 2, 2)], ndl.conv_transpose2d,
         F.conv_transpose2d, label="[plain]"),
    Case("max_pool2d", [kinked(2, 2, 5, 6)], lambda x: x.max_pool2d(3, 2, 1),
         lambda x: F.max_pool2d(x, 3, 2, 1)),
    Case("avg_pool2d", [normal(2, 2, 5, 6)], lambda x: x.avg_pool2d((3, 2), padding=(1, 0)),
         lambda x: F.avg_pool2d(x, (3, 2), padding=(1, 0))),
    Case("avg_pool2d", [normal(1, 2, 5, 6)], lambda x: x.avg_pool2d((2, 3), 1),
         lambda x: F.avg_pool2d(x, (2, 3), 1), label="[overlapping]"),
    Case("batch_norm", [normal(4, 2, 3), positive(2), normal(2)],
         lambda x, w, b: ndl.batch_norm(x, None, None, w, b, training=True),
         lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)),
    Case("batch_norm", [normal(4, 2)],
         lambda x: ndl.batch_norm(x, ndl.tensor(MEAN).to(x.dtype), ndl.tensor(VAR).to(x.dtype)),
         lambda x: F.batch_norm(x, torch.tensor(MEAN).to(x), torch.tensor(VAR).to(x)),
         label="[running]"),
]  # fmt: skip
