"""Products with the Jacobian, the Jacobian, and checkpointing: against PyTorch."""

import numpy as np
import pytest
import torch
from torch.autograd import functional as oracle

import needle as ndl
from needle.autograd import checkpoint, gradcheck, hvp, jacobian, jvp, vjp


def pair(rng: np.random.Generator, *shape: int) -> tuple[ndl.Tensor, torch.Tensor]:
    a = rng.standard_normal(shape)
    return ndl.tensor(a), torch.tensor(a)


def same(ours, theirs, rtol=1e-10):
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, rtol)
        return
    assert not ours.requires_grad
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol, 1e-12)


def curve(x):
    return (x * x).sin() * x


def mixed(x, y):
    return (x @ y).tanh() + x.sum() * y[0]


def energy(x, y):
    return ((x @ y).sin() * y[0]).sum() + (x * x * x).sum()


SHAPES = [(), (1,), (3,), (2, 3), (0,), (2, 0, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_of_one_input(rng, shape):
    x, tx = pair(rng, *shape)
    v, tv = pair(rng, *shape)
    same(vjp(curve, x, v), oracle.vjp(curve, tx, tv))
    same(jvp(curve, x, v), oracle.jvp(curve, tx, tv))
    if x.size == 0:  # PyTorch cannot
        assert jacobian(curve, x).shape == (*shape, *shape)
    else:
        same(jacobian(curve, x), oracle.jacobian(curve, tx))
    same(
        hvp(lambda a: curve(a).sum(), x, v),
        oracle.hvp(lambda a: curve(a).sum(), tx, tv),
    )


def test_of_several_inputs(rng):
    x, tx = pair(rng, 2, 3)
    y, ty = pair(rng, 3, 4)
    v, tv = pair(rng, 2, 4)
    dx, tdx = pair(rng, 2, 3)
    dy, tdy = pair(rng, 3, 4)
    same(vjp(mixed, (x, y), v), oracle.vjp(mixed, (tx, ty), tv))
    same(jvp(mixed, [x, y], [dx, dy]), oracle.jvp(mixed, (tx, ty), (tdx, tdy)))
    same(jacobian(mixed, (x, y)), oracle.jacobian(mixed, (tx, ty)))
    same(hvp(energy, (x, y), (dx, dy)), oracle.hvp(energy, (tx, ty), (tdx, tdy)))


def test_views_as_inputs(rng):
    x, tx = pair(rng, 4, 3)
    v, tv = pair(rng, 3, 2)
    ours, theirs = x.transpose(0, 1)[:, ::2], tx.T[:, ::2]
    same(vjp(curve, ours, v), oracle.vjp(curve, theirs, tv))
    same(jvp(curve, ours, v), oracle.jvp(curve, theirs, tv))
    same(jacobian(curve, ours), oracle.jacobian(curve, theirs))


def test_what_does_not_depend_gives_zeros(rng):
    x, tx = pair(rng, 3)
    y, ty = pair(rng, 2)

    def first(a, _b):
        return a * 2

    same(jacobian(first, (x, y)), oracle.jacobian(first, (tx, ty)))
    same(vjp(first, (x, y), x), oracle.vjp(first, (tx, ty), tx))
    same(jvp(first, (x, y), (x, y)), oracle.jvp(first, (tx, ty), (tx, ty)))
    constant = ndl.ones(2, dtype="float64")
    assert jacobian(lambda _a: constant, x).tolist() == [[0, 0, 0]] * 2
    assert jvp(lambda _a: constant, x, x)[1].tolist() == [0, 0]
    linear = hvp(lambda a: (a * 3).sum(), x, x)[1]  # its gradient is constant
    assert linear.tolist() == [0, 0, 0]


def test_they_leave_the_graph_of_others_alone():
    x = ndl.tensor([1.0, 2.0], requires_grad=True)
    with ndl.no_grad():
        assert jacobian(lambda a: a * a, x).tolist() == [[2, 0], [0, 4]]
        assert not (x * x).requires_grad
    assert x.grad is None


def test_misuse_is_named(rng):
    x, _ = pair(rng, 3)
    with pytest.raises(TypeError, match="input 0 is int64"):
        jacobian(curve, ndl.tensor([1, 2]))
    with pytest.raises(TypeError, match="must be Tensors, got float"):
        vjp(curve, [1.0])
    with pytest.raises(TypeError, match="must return one Tensor, got int"):
        jacobian(lambda _a: 3, x)
    with pytest.raises(TypeError, match="one floating tensor"):
        jacobian(lambda a: a > 0, x)
    with pytest.raises(ValueError, match=r"the output has shape \(3,\); pass v"):
        vjp(curve, x)
    with pytest.raises(ValueError, match=r"v is float64 \(2,\), but the output is float64 \(3,\)"):
        vjp(curve, x, x[:2])
    with pytest.raises(ValueError, match="1 tensors in v for 2 inputs"):
        jvp(mixed, (x, x), x)
    with pytest.raises(ValueError, match="v is float32"):
        jvp(curve, x, ndl.ones(3))
    with pytest.raises(ValueError, match=r"one element, not shape \(3,\)"):
        hvp(curve, x, x)
    with pytest.raises(ValueError, match="no inputs"):
        jacobian(curve, [])
    with pytest.raises(KeyError, match="mine"):
        jacobian(lambda _a: {}["mine"], x)


# --- checkpoint ---


def block(x, w):
    return ((x @ w).tanh() @ w).sin()


def gradients(f, *inputs):
    leaves = [ndl.tensor(a, requires_grad=True) for a in inputs]
    out = f(*leaves)
    (out * out).sum().backward()
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def test_checkpoint_changes_no_gradient(rng):
    x, w = rng.standard_normal((3, 4)), rng.standard_normal((4, 4))
    expected = gradients(lambda a, b: block(block(a, b), b), x, w)

    def inner(a, b):
        return checkpoint(block, checkpoint(block, a, b), b)

    def nested(a, b):
        return checkpoint(lambda c: checkpoint(inner, c, b), a)

    for f in (inner, nested):
        for ours, theirs in zip(gradients(f, x, w), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, 1e-12)


def test_checkpoint_reaches_what_the_function_closes_over(rng):
    x = ndl.tensor(rng.standard_normal((3, 4)))  # no gradient, as the first layer's input
    w = ndl.tensor(rng.standard_normal((4, 4)), requires_grad=True)
    h = w * 2  # no leaf
    plain = (block(x, h) * w.sum()).sum()
    (expected,) = ndl.grad(plain, w, retain_graph=True)
    again = checkpoint(lambda a: block(a, h) * w.sum(), x).sum()
    (found,) = ndl.grad(again, w, retain_graph=True)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-12)
    assert w.grad is None  # grad() touches no leaf, through a checkpoint neither
    again.backward(retain_graph=True)
    np.testing.assert_allclose(w.grad.numpy(), expected.numpy(), 1e-12)
    plain.backward()  # the graph of h was not used up
    np.testing.assert_allclose(w.grad.numpy(), 2 * expected.numpy(), 1e-12)
    h = w * 2
    returned = checkpoint(lambda _a: h, x)
    (slope,) = ndl.grad(returned.sum(), w)
    assert slope.tolist() == [[2.0] * 4] * 4
    y = ndl.tensor(rng.standard_normal((2, 4)), requires_grad=True)
    assert gradcheck(lambda a, b: checkpoint(block, a, b), [y, w])


def test_checkpoint_repeats_random_numbers():
    x = ndl.ones(1000, requires_grad=True)
    ndl.manual_seed(3)
    y = checkpoint(lambda a: ndl.dropout(a, 0.5) * ndl.dropout(a, 0.5), x)
    ndl.rand(7)  # somebody draws in between
    offset = ndl.default_generator().offset
    y.backward(ndl.ones(1000))
    assert ndl.default_generator().offset == offset
    # Each factor is 0 or 2, and so is its slope: the gradient is twice the product.
    np.testing.assert_array_equal(x.grad.numpy(), 2 * y.detach().numpy())
    assert 100 < (y.detach().numpy() > 0).sum() < 400


def test_checkpoint_keeps_no_activations():
    calls = []

    def f(a):
        calls.append(1)
        return ((a * 2).exp() * 3).log()

    x = ndl.ones(4, requires_grad=True)
    y = checkpoint(f, x)
    assert [n.name for n in ndl.autograd.topological_order(y)] == ["checkpoint", "leaf"]
    assert len(calls) == 1
    y.sum().backward()
    assert len(calls) == 2
    with ndl.no_grad():
        assert not checkpoint(f, x).requires_grad
    assert len(calls) == 3


def test_checkpoint_takes_other_arguments():
    x = ndl.tensor([1.0, 2.0], requires_grad=True)
    labels = ndl.tensor([0, 1])
    y = checkpoint(lambda scale, a, i, add: a * scale + i * add, 3.0, x, labels, 2)
    assert y.tolist() == [3, 8]
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_checkpoint_refuses_what_it_cannot():
    x = ndl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="checkpoint: gradients of gradients"):
        ndl.grad(checkpoint(curve, x).sum(), x, create_graph=True)
    with pytest.raises(ValueError, match="no inputs"):
        checkpoint(curve)
    with pytest.raises(TypeError, match="must return one Tensor, got NoneType"):
        checkpoint(lambda _a: None, x)
    y = checkpoint(curve, x)
    x.detach()[0] = 5
    with pytest.raises(RuntimeError, match=r"shape \(3,\) was changed in place"):
        y.sum().backward()
