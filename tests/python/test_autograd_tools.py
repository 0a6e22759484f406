"""Hooks, anomalies, in-place writes, pictures, several outputs: what helps to look into a graph."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import needle as ndl
from needle.autograd import (
    Function,
    detect_anomaly,
    draw,
    gradcheck,
    gradgradcheck,
    topological_order,
)


def line() -> int:
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


# --- hooks ---


def test_hooks_see_and_replace_gradients():
    results = []
    for module in (ndl, torch):
        seen = []
        x = module.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        y.retain_grad()
        y.register_hook(lambda g, seen=seen: seen.append(("y", g.tolist())))
        y.register_hook(lambda g: g * 10)
        x.register_hook(lambda g, seen=seen: seen.append(("x", g.tolist())))
        halve = x.register_hook(lambda g: g / 2)
        (y * y).sum().backward()
        halve.remove()
        halve.remove()
        (x * x).sum().backward()
        results.append((seen, x.grad.tolist(), y.grad.tolist()))
    assert results[0] == results[1]
    seen, gradient, inner = results[0]
    assert seen == [("y", [6, 12]), ("x", [180, 360]), ("x", [2, 4])]
    assert gradient == [92, 184]
    assert inner == [60, 120]


def test_hooks_of_shared_values_see_the_sum_once():
    x = ndl.tensor([1.0], requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3 + x).sum().backward()
    assert seen == [6]
    (g,) = ndl.grad((x * 4).sum(), x)
    assert (seen, g.item()) == ([6, 4], 4)


def test_a_hook_may_remove_itself():
    x = ndl.tensor([1.0], requires_grad=True)
    calls = []

    def once(_g):
        calls.append(1)
        handle.remove()

    handle = x.register_hook(once)
    for _ in range(3):
        (x * x).sum().backward()
    assert calls == [1]


def test_misuse_of_hooks_is_named():
    with pytest.raises(RuntimeError, match="register_hook: this tensor needs no gradient"):
        ndl.ones(2).register_hook(print)
    x = ndl.ones(2, requires_grad=True)
    x.register_hook(lambda _g: 3)
    with pytest.raises(TypeError, match="must return a Tensor or None, got int"):
        x.sum().backward()
    y = ndl.ones(2, requires_grad=True)
    y.register_hook(lambda g: g[:1])
    with pytest.raises(RuntimeError, match=r"returned float32 \(1,\) for a gradient .* \(2,\)"):
        y.sum().backward()
    z = ndl.ones(2, requires_grad=True)
    z.register_hook(lambda _g: {}["mine"])
    with pytest.raises(KeyError, match="mine"):
        z.sum().backward()


def test_hooks_of_higher_derivatives():
    x = ndl.tensor([2.0], requires_grad=True)
    y = x * x * x
    y.register_hook(lambda g: g * 2)
    (g,) = ndl.grad(y.sum(), x, create_graph=True)
    (h,) = ndl.grad(g.sum(), x)
    assert (g.item(), h.item()) == (24, 24)


# --- anomalies ---


def test_the_operation_that_makes_a_nan_is_named():
    x = ndl.tensor([1.0, 0.0], requires_grad=True)
    with detect_anomaly():
        y = x * 2
        with pytest.raises(RuntimeError) as error:
            at = line() + 1
            (y - 2).log()
    assert "detect_anomaly: log at " in str(error.value)
    assert f"{Path(__file__).name}:{at} in test_the_operation" in str(error.value)
    assert "shape (2,)" in str(error.value)
    assert np.isneginf((y - 2).log().detach().numpy()[0])  # not watched any more


def test_the_operation_whose_gradient_makes_a_nan_is_named():
    def loss(t: ndl.Tensor) -> ndl.Tensor:
        root = (t * t).sqrt()  # the slope of sqrt at 0 is infinite
        return (root + t.exp()).sum()

    x = ndl.tensor([1.0, 0.0, 2.0], requires_grad=True)
    at = inspect.getsourcelines(loss)[1] + 1
    with detect_anomaly():
        y = loss(x)
        with pytest.raises(RuntimeError) as error:
            y.backward()
    assert "the gradient of sqrt at " in str(error.value)
    assert f"{Path(__file__).name}:{at} in loss" in str(error.value)
    assert "its input 0 of shape (3,)" in str(error.value)
    z = loss(x)
    with detect_anomaly(), pytest.raises(RuntimeError, match="before detect_anomaly was switched"):
        z.backward()


def test_what_came_in_broken_is_nobodys_fault():
    @detect_anomaly()
    def step(values) -> ndl.Tensor:
        x = ndl.tensor(values, requires_grad=True)
        (x * 2).sum().backward(ndl.tensor(float("inf")))
        return x * 2

    assert np.isnan(step([float("nan"), 1.0]).detach().numpy()[0])
    assert step([2.0]).tolist() == [4]
    with detect_anomaly():
        ndl.tensor([1, 2]) + 1  # integers cannot be NaN
        ndl.zeros(0).log()


def test_the_line_is_the_users_not_needles():
    class Bad(Function):
        @staticmethod
        def forward(_ctx, x):
            return ndl.array(np.full(x.shape, np.inf, np.float32))

    with detect_anomaly(), pytest.raises(RuntimeError) as error:
        at = line() + 1
        Bad.apply(ndl.ones(2))
    assert f"detect_anomaly: Bad at {__file__}:{at} in test_the_line" in str(error.value)


# --- in-place writes ---


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.detach().__setitem__(0, 9),
        lambda x: x.detach().reshape(3, 2).transpose(0, 1).__setitem__((0, 0), 9),
        lambda x: x.detach().__iadd__(1.0),
        lambda x: setattr(x, "data", ndl.zeros(2, 3)),
        lambda x: ndl.optim.SGD([x], lr=0.1).step(),
        lambda x: ndl.optim.AdamW([x], lr=0.1).step(),
    ],
    ids=["item", "view", "iadd", "data", "SGD", "AdamW"],
)
def test_writes_to_what_backward_needs_are_noticed(write):
    x = ndl.ones(2, 3, requires_grad=True)
    x.grad = ndl.ones(2, 3)
    y = (x * x).sum()
    write(x)
    message = r"mul: its input of shape \(2, 3\) was changed in place"
    with pytest.raises(RuntimeError, match=message):
        y.backward()


def test_replacing_the_elements_of_a_leaf():
    x = ndl.ones(2, requires_grad=True)
    y = (x + 1).sum()  # addition keeps nothing
    x.data = ndl.zeros(2)
    y.backward()
    assert x.grad.tolist() == [1, 1]
    x.data = ndl.zeros(3, dtype="float64")
    x.grad = None
    (x * 2).sum().backward()
    assert (x.grad.shape, str(x.grad.dtype)) == ((3,), "needle.float64")


def test_requires_grad_switched_after_use():
    x = ndl.tensor([3.0], dtype="float64")
    w = ndl.tensor([2.0], dtype="float64", requires_grad=True)
    y = w * x
    x.requires_grad = True  # too late for y
    (dw,) = ndl.grad(y, w, create_graph=True)
    assert dw.item() == 3
    assert not dw.requires_grad


# --- looking at graphs ---


def test_topological_order_is_that_of_backward():
    x = ndl.tensor([2.0], requires_grad=True)
    order, names = [], ["a", "b", "c", "d"]
    a = x.exp()
    b = a * x
    c = a + b
    d = (b * c).sum()
    for name, t in zip(names, (a, b, c, d), strict=True):
        t.register_hook(lambda _g, name=name: order.append(name))
    nodes = topological_order(d)
    place = {node: i for i, node in enumerate(nodes)}
    assert len(place) == len(nodes) == 7
    assert nodes[0] == d.grad_fn
    for node in nodes:
        assert all(place[node] < place[i] for i in node.inputs)
    by_node = {a.grad_fn: "a", b.grad_fn: "b", c.grad_fn: "c", d.grad_fn: "d"}
    d.backward()
    assert order == [by_node[n] for n in nodes if n in by_node]
    assert nodes[-1].name == "leaf"
    assert (nodes[-1].shape, nodes[-1].inputs) == ((1,), ())
    assert repr(c.grad_fn) == "<Node add>"
    with pytest.raises(RuntimeError, match="topological_order"):
        topological_order(ndl.ones(1))


def test_draw():
    x = ndl.ones(2, 3, requires_grad=True)
    picture = draw(((x @ ndl.ones(3, 4)).relu() * 2.0).sum())
    assert picture._repr_svg_() is picture.svg
    assert picture.svg.startswith("<svg")
    for text in ("matmul", "relu", "mul", "sum", "leaf", "(2, 3) float32", "(2, 4) float32"):
        assert text in picture.svg, text
    edges = re.findall(r"n(\d+) -> n(\d+)", picture.dot)
    nodes = topological_order(((x @ ndl.ones(3, 4)).relu() * 2.0).sum())
    assert len(edges) == sum(i is not None for n in nodes for i in n.inputs)
    assert picture.dot.count("shape=point") == 2


def test_draw_says_what_is_missing(monkeypatch, tmp_path):
    x = ndl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no graph"):
        draw(ndl.ones(2))
    with pytest.raises(TypeError, match="got int"):
        draw(3)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install graphviz"):
        draw(x * 2)


# --- several outputs ---


class SinCos(Function):
    """(sin x, cos x), with a gradient that uses the outputs."""

    @staticmethod
    def forward(_ctx, x):
        t = ndl.Tensor(x)
        return ndl.NDArray(t.sin()), ndl.NDArray(t.cos())

    @staticmethod
    def backward(ctx, dsin, dcos):
        s, c = ctx.output
        return dsin * c - dcos * s


def test_functions_with_several_outputs(rng):
    a = rng.standard_normal((2, 3))
    x = ndl.tensor(a, requires_grad=True)
    s, c = SinCos.apply(x)
    np.testing.assert_allclose(s.detach().numpy(), np.sin(a))
    np.testing.assert_allclose(c.detach().numpy(), np.cos(a))
    (s * s + c * 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.sin(a) * np.cos(a) - 2 * np.sin(a))
    (only,) = ndl.grad(SinCos.apply(x)[0].sum(), x)  # cos is not used
    np.testing.assert_allclose(only.numpy(), np.cos(a))

    def both(t: ndl.Tensor) -> ndl.Tensor:
        s, c = SinCos.apply(t)
        return s * s * c

    assert gradcheck(both, [x])
    assert gradgradcheck(both, [x])
