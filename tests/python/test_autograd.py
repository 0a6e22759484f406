"""The graph: accumulation, retain_graph, create_graph, in-place writes, Function, deep chains."""

import gc

import numpy as np
import pytest
import torch

import needle as ndl
from needle.autograd import Context, Function, gradcheck, gradgradcheck


def test_gradients_accumulate_on_leaves():
    x = ndl.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    assert x.grad is None
    y = x * 2
    y.backward(ndl.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    assert y.grad is None
    assert y.is_leaf is False
    assert x.is_leaf
    assert not x.grad.requires_grad


def test_shared_subexpressions():
    x = ndl.tensor(3.0, requires_grad=True)
    y = x * x
    z = y * y + y
    z.backward()
    assert x.grad.item() == 4 * 27 + 6


def test_retain_grad():
    x = ndl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]


def test_backward_needs_one_element_or_a_gradient():
    x = ndl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*gradient="):
        (x * 2).backward()
    with pytest.raises(ValueError, match="gradient="):
        (x * 2).backward(ndl.ones(2))
    with pytest.raises(ValueError, match="gradient="):
        (x * 2).backward(ndl.ones(3, dtype="float64"))
    with pytest.raises(RuntimeError, match="needs no gradient"):
        ndl.ones(1).backward()


def test_the_graph_is_used_up_once():
    x = ndl.tensor(2.0, requires_grad=True)
    y = x.exp() * x
    y.backward(retain_graph=True)
    first = x.grad.item()
    y.backward()
    assert x.grad.item() == pytest.approx(2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_create_graph_gives_higher_derivatives():
    x = ndl.tensor([0.5, 1.5], dtype="float64", requires_grad=True)
    t = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    y, s = (x.sin() * x.exp()).sum(), (t.sin() * t.exp()).sum()
    for _ in range(4):
        (g,) = ndl.grad(y, x, create_graph=True)
        (e,) = torch.autograd.grad(s, t, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), e.detach().numpy(), 1e-10)
        y, s = g.sum(), e.sum()


def test_grad_touches_no_leaf():
    x, y = ndl.tensor(2.0, requires_grad=True), ndl.tensor(3.0, requires_grad=True)
    unused = ndl.tensor(1.0, requires_grad=True)
    dx, dy, nothing = ndl.grad(x * y, [x, y, unused])
    assert (dx.item(), dy.item(), nothing) == (3, 2, None)
    assert x.grad is None
    middle = x * x
    (dm,) = ndl.grad(middle * y, middle)
    assert dm.item() == 3
    a, b = ndl.grad([x * x, y * y], [x, y], [ndl.tensor(10.0), None])
    assert (a.item(), b.item()) == (40, 6)
    with pytest.raises(RuntimeError, match="grad"):
        ndl.grad(x * x, ndl.tensor(1.0))


def test_no_grad_and_enable_grad():
    x = ndl.ones(2, requires_grad=True)
    with ndl.no_grad():
        assert not ndl.is_grad_enabled()
        assert not (x * 2).requires_grad
        with ndl.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @ndl.no_grad()
    def plain(t: ndl.Tensor) -> ndl.Tensor:
        return t * 2

    assert not plain(x).requires_grad
    assert not plain(x).requires_grad
    with pytest.raises(KeyError), ndl.no_grad():
        raise KeyError
    assert ndl.is_grad_enabled()


def test_detach_and_data_share_memory():
    x = ndl.ones(2, requires_grad=True)
    d = x.detach()
    d[0] = 5
    assert x.detach().tolist() == [5, 1]
    assert not d.requires_grad
    x.data = ndl.zeros(3)
    assert x.shape == (3,)
    assert x.requires_grad
    with pytest.raises(RuntimeError):
        (x * 2).data = ndl.zeros(3)


def test_a_saved_value_may_not_change():
    x = ndl.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    z = (y * y).sum()
    y.detach()[0] = 0
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward()
    # Addition keeps nothing, so its operands may change.
    a = ndl.tensor([1.0, 2.0])
    w = (x + a).sum()
    a[0] = 100
    w.backward()
    assert x.grad.tolist() == [1, 1]


def test_in_place_operators():
    x = ndl.tensor([1.0, 2.0])
    alias = x
    x += 1
    x *= ndl.tensor([2.0, 3.0])
    x -= 1
    x /= 2
    assert alias.tolist() == [1.5, 4]
    weight = ndl.nn.Parameter(ndl.ones(2))
    with pytest.raises(RuntimeError, match="in place"):
        weight -= 0.1
    with pytest.raises(RuntimeError, match="in place"):
        weight[0] = 1
    same = weight
    with ndl.no_grad():
        weight -= 0.5
        weight[0] = 3
    assert same.tolist() == [3, 0.5]
    assert weight.same_as(same)
    total = ndl.tensor(0.0)
    for factor in (1.0, 2.0):
        total += (weight * factor).sum()
    total.backward()
    assert weight.grad.tolist() == [3, 3]
    counts = ndl.tensor([1, 2])
    with pytest.raises(TypeError, match="float"):
        counts += 0.5
    with pytest.raises(ValueError, match="shape"):
        x += ndl.ones(3, 2)
    with pytest.raises(RuntimeError, match="would be lost"):
        x[0] = weight.sum()


def test_requires_grad_is_for_floating_leaves():
    with pytest.raises(TypeError, match="int64"):
        ndl.tensor([1, 2], requires_grad=True)
    with pytest.raises(TypeError, match="bool"):
        ndl.tensor([True]).requires_grad_()
    x = ndl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        (x * 2).requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(ValueError, match="shape"):
        x.requires_grad_().grad = ndl.ones(3)


def test_grad_fn_names_the_operation():
    x = ndl.ones(2, 2, requires_grad=True)
    y = (x @ x).softmax(-1)
    assert x.grad_fn is None
    assert y.grad_fn.name == "softmax"
    (product,) = y.grad_fn.inputs
    assert product.name == "matmul"
    assert product == product
    assert [n.name for n in product.inputs] == ["leaf", "leaf"]
    assert (x * ndl.ones(2, 2)).grad_fn.inputs[1] is None


class Cube(Function):
    """x^3, by hand."""

    @staticmethod
    def forward(ctx, x):
        ctx.note = "seen"
        return x * x * x

    @staticmethod
    def backward(ctx, dy):
        assert ctx.note == "seen"
        (x,) = ctx.inputs
        return dy * 3 * x * x


class Multiply(Function):
    """x * y with an output that backward asks for."""

    @staticmethod
    def forward(_ctx, x, y):
        return x * y

    @staticmethod
    def backward(ctx, dy):
        x, y = ctx.inputs
        return dy * ctx.output / x, dy * x if y.requires_grad else None


def test_functions_written_in_python():
    x = ndl.tensor([1.5, -2.0], dtype="float64", requires_grad=True)
    y = Cube.apply(x)
    np.testing.assert_allclose(y.detach().numpy(), [3.375, -8])
    assert y.grad_fn.name == "Cube"
    assert gradcheck(Cube.apply, [x])
    assert gradgradcheck(Cube.apply, [x])
    z = ndl.tensor([2.0, 3.0], dtype="float64", requires_grad=True)
    assert gradcheck(Multiply.apply, [x, z])
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [6.75, 12])
    assert y.grad_fn.name == "Cube"


def test_errors_in_python_functions_come_through():
    class Wrong(Function):
        @staticmethod
        def forward(_ctx, x):
            return x

        @staticmethod
        def backward(_ctx, dy):
            return dy, dy

    class Raises(Wrong):
        @staticmethod
        def backward(_ctx, _dy):
            raise KeyError("mine")

    class Returns(Wrong):
        @staticmethod
        def forward(_ctx, _x):
            return 3

    x = ndl.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="2 gradients for 1 inputs"):
        Wrong.apply(x).sum().backward()
    with pytest.raises(KeyError, match="mine"):
        Raises.apply(x).sum().backward()
    with pytest.raises(TypeError, match="one NDArray"):
        Returns.apply(x)


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Function):
        @staticmethod
        def forward(_ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, dy):
            x, y = ctx.inputs
            return dy * y, dy * x * 1.001

    x = ndl.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    y = ndl.tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    with pytest.raises(RuntimeError, match=r"input 1\[0\]: numeric 1.*analytic 1.001"):
        gradcheck(Wrong.apply, [x, y])
    with pytest.raises(TypeError, match="float64"):
        gradcheck(ndl.exp, [ndl.ones(2, requires_grad=True)])
    with pytest.raises(ValueError, match="requires_grad"):
        gradcheck(ndl.exp, [ndl.ones(2)])


def test_gradgradcheck_finds_a_gradient_that_stops():
    class Stops(Function):
        @staticmethod
        def forward(_ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.inputs
            return dy * 2 * x.detach()

    x = ndl.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    assert gradcheck(Stops.apply, [x])
    with pytest.raises(RuntimeError, match="analytic"):
        gradgradcheck(Stops.apply, [x])


CHAIN = """
import threading
threading.stack_size(262144)
import needle as ndl

def run():
    x = ndl.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 1_000_001, x.grad
    keep = x
    for _ in range(1_000_000):
        keep = keep + 1.0
    del keep, y
    print("done")

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_a_million_adds_with_a_small_stack(run_script):
    result = run_script(CHAIN)
    assert result.stdout == "done\n", result.stderr


def test_graphs_are_freed():
    x = ndl.ones(1000, requires_grad=True)

    def living() -> int:
        gc.collect()
        return sum(type(o) is Context for o in gc.get_objects())

    before = living()
    for _ in range(3):
        y = Cube.apply(x).sum()
        y.backward()
    assert living() <= before + 1
    del y
    assert living() == before
