"""Every operation of needle/op/op.h: values and gradients against PyTorch, and gradcheck."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import needle as ndl
from needle.autograd import gradcheck, gradgradcheck

OP_H = Path(__file__).resolve().parents[2] / "needle" / "op" / "op.h"
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
]  # fmt: skip

# Constant where differentiable, or checked elsewhere in this folder.
NO_GRADIENT = {
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "compare"),
    *("argmax", "argmin", "full", "zeros", "ones", "arange", "linspace", "eye", "one_hot"),
    *("rand", "randn", "randint", "randperm", "unary", "scalar_like"),
}


def needle_inputs(case: Case, dtype: str) -> list[ndl.Tensor]:
    return [ndl.tensor(x, dtype=dtype, requires_grad=True) for x in case.inputs]


def test_every_op_of_op_h_is_in_the_table():
    declared = set(re.findall(r"^Tensors? (\w+)\(", OP_H.read_text(), re.MULTILINE))
    covered = {case.name for case in CASES} | NO_GRADIENT
    assert declared > {"exp", "matmul", "split"}
    assert declared - covered == set()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_equal_pytorch(case, rng):
    ours = needle_inputs(case, "float32")
    theirs = [torch.tensor(x, dtype=torch.float32, requires_grad=True) for x in case.inputs]
    y, expected = case.needle(*ours), case.torch(*theirs)
    assert y.shape == tuple(expected.shape)
    assert y.dtype == ndl.float32
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), 2e-5, 2e-6)
    seed = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(ndl.tensor(seed))
    expected.backward(torch.tensor(seed))
    for x, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 2e-4, 2e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradcheck(case):
    assert gradcheck(case.needle, needle_inputs(case, "float64"), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c.smooth], ids=str)
def test_gradgradcheck(case):
    assert gradgradcheck(case.needle, needle_inputs(case, "float64"), atol=2e-6, rtol=2e-6)


# Their further operands are on the cpu.
ON_CPU = {"to_device", "cross_entropy", "embedding", "rotary_embedding", "where"}


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in ON_CPU], ids=str)
def test_reference_device_agrees(case):
    a = case.needle(*needle_inputs(case, "float64"))
    b = case.needle(*[x.detach().to("reference") for x in needle_inputs(case, "float64")])
    np.testing.assert_allclose(b.to("cpu").numpy(), a.detach().numpy(), 1e-10, 1e-12)


LAYOUTS = {
    "permuted": lambda: normal(4, 3, 5).transpose(2, 0, 1),
    "sliced": lambda: normal(7, 9)[1:6:2, ::3],
    "negative strides": lambda: normal(5, 6)[::-1, ::-2],
    "broadcast": lambda: np.broadcast_to(normal(3, 1), (2, 3, 4)),
    "scalar": lambda: normal(),
    "one": lambda: normal(1, 1),
    "odd": lambda: normal(17, 33),
    "no rows": lambda: normal(0, 3),
    "no columns": lambda: normal(3, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_awkward_layouts(layout):
    values = LAYOUTS[layout]()
    base = values if values.flags.writeable else values.copy()
    x = ndl.from_numpy(base).requires_grad_()
    t = torch.tensor(np.ascontiguousarray(values), requires_grad=True).reshape(values.shape)
    t.retain_grad()
    y = (x.tanh() * x + 2.5 - x / 3).sum(axis=None) + (x * x).reshape(-1).sum()
    e = (t.tanh() * t + 2.5 - t / 3).sum() + (t * t).reshape(-1).sum()
    np.testing.assert_allclose(y.item(), e.item(), 1e-12)
    y.backward()
    e.backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 1e-12)
    if values.ndim >= 1 and values.size:
        np.testing.assert_allclose(x.softmax(0).detach().numpy(), t.softmax(0).detach().numpy())
        np.testing.assert_array_equal(x.argmax(-1).numpy(), t.argmax(-1).numpy())


def test_empty_reductions_and_products():
    x = ndl.zeros(0, 3)
    assert x.sum().item() == 0
    assert x.prod(0).tolist() == [1, 1, 1]
    assert ndl.matmul(ndl.zeros(2, 0), ndl.zeros(0, 3)).tolist() == [[0] * 3] * 2
    with pytest.raises(ValueError, match="max"):
        x.max()


def test_comparisons_and_choice():
    a, b = ndl.tensor([1.0, 2.0, float("nan")]), ndl.tensor([2.0, 2.0, 2.0])
    assert (a < b).tolist() == [True, False, False]
    assert (a <= 2).tolist() == [True, True, False]
    assert (a != b).tolist() == [True, False, True]
    assert (a == a).dtype == ndl.bool_
    assert (a < 2).tolist() == [True, False, False]
    assert ndl.where(a > 1, a, 0).tolist() == [0, 2, 0]
    assert (a == None).__class__ is bool  # noqa: E711


def test_argmax_and_dtypes():
    x = ndl.tensor([[1, 5, 5], [7, 0, 7]])
    assert x.argmax().item() == 3
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(axis=1, keepdims=True).tolist() == [[0], [1]]
    assert x.argmax(1).dtype == ndl.int64


def test_dropout_keeps_the_expectation():
    x = ndl.ones(200, 100, requires_grad=True)
    y = x.dropout(0.25)
    values = y.detach().numpy()
    assert set(np.unique(values).round(4)) == {0.0, np.float32(1.3333)}
    assert abs(values.mean() - 1) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)
    ndl.manual_seed(0)
    np.testing.assert_array_equal(x.dropout(0.25).detach().numpy(), values)


PROMOTIONS = [np.bool_, np.int32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("a", PROMOTIONS)
@pytest.mark.parametrize("b", PROMOTIONS)
def test_promotion_is_numpys(a, b):
    expected = np.result_type(a, b)
    assert str(ndl.promote_types(a, b)) == f"needle.{expected}"
    if not (a is np.bool_ and b is np.bool_):
        sum_ = ndl.tensor(np.ones(2, a)) + ndl.tensor(np.ones(2, b))
        assert sum_.numpy().dtype == expected


def test_python_numbers_keep_the_dtype():
    x = ndl.tensor([1, 2, 3])
    assert (x + 1).dtype == ndl.int64
    assert (x * 2**40).tolist() == [2**40, 2**41, 3 * 2**40]
    assert (x + (2**60 + 1)).tolist()[0] == 2**60 + 2
    f = ndl.tensor([1.0, 2.0])
    assert (f + 1).dtype == ndl.float32
    assert (1 / f).tolist() == [1, 0.5]
    assert (2 - f).tolist() == [1, 0]
    assert (2**f).tolist() == [2, 4]
    assert (f**2).tolist() == [1, 4]
    assert (np.float64(3) * f).dtype == ndl.float32
    assert (np.array([1.0, 2.0]) * f).dtype == ndl.float64
    assert (x / 2).dtype == ndl.float32
