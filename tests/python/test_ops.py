"""Every operation of needle/op/op.h: values and gradients against PyTorch, and gradcheck."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from op_cases import CASES, Case, normal

import needle as ndl
from needle.autograd import gradcheck, gradgradcheck

OP_H = Path(__file__).resolve().parents[2] / "needle" / "op" / "op.h"
# Constant where differentiable, or checked elsewhere in this folder.
NO_GRADIENT = {
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "compare"),
    *("argmax", "argmin", "full", "zeros", "ones", "arange", "linspace", "eye", "one_hot"),
    *("rand", "randn", "randint", "randperm", "unary", "scalar_like"),
    *("any", "all", "logical_and", "logical_or", "logical_xor", "logical_not"),
}


def needle_inputs(case: Case, dtype: str) -> list[ndl.Tensor]:
    return [ndl.tensor(x, dtype=dtype, requires_grad=True) for x in case.inputs]


def test_every_op_of_op_h_is_in_the_table():
    results = r"^(?:Tensors?|std::pair<Tensor, Tensor>) (\w+)\("
    declared = set(re.findall(results, OP_H.read_text(), re.MULTILINE))
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
ON_CPU = {
    *("to_device", "cross_entropy", "embedding", "rotary_embedding", "where", "masked_fill"),
    *("gather", "take_along_dim", "index_select", "scatter_add", "batch_norm"),
    *("gather_rows", "scatter_rows"),
}


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
