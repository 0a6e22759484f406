"""What operations without a gradient give, edge cases, and errors of the operations on indices,
images and strides."""

import numpy as np
import pytest
import torch

import needle as ndl

NAN = float("nan")


def test_any_and_all():
    for values in (np.array([[0, 0], [1, 0], [1, 1]]), np.array([[0.0, NAN], [-1, 2]])):
        for a in (values, values != 0, np.zeros((0, 2))):
            x = ndl.tensor(a)
            for axis in (None, 0, -1, (0, 1)):
                assert x.any(axis).tolist() == a.any(axis).tolist()
                assert x.all(axis).tolist() == a.all(axis).tolist()
            assert x.any(0, keepdims=True).shape == (1, 2)
            assert x.all(dim=0).dtype == ndl.bool_


def test_logic():
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for kind in (ndl.tensor, ndl.array):
        x, y = kind(a), kind(b)
        assert type(x & y) is type(~x) is type(x)
        assert (x & y).tolist() == (a & b).tolist()
        assert (x | y).tolist() == (a | b).tolist()
        assert (x ^ y).tolist() == (a ^ b).tolist()
        assert (~x).tolist() == (~a).tolist()
        x &= y
        assert x.tolist() == (a & b).tolist()
    assert ndl.logical_and(ndl.tensor([[True], [False]]), ndl.tensor(a)).shape == (2, 4)
    assert ndl.logical_not(ndl.tensor([]) > 0).shape == (0,)
    with pytest.raises(TypeError, match="logical_or: int64 is not bool"):
        ndl.tensor([1]) | ndl.tensor([2])
    with pytest.raises(TypeError, match="logical_not"):
        ~ndl.tensor([1.0])


@pytest.mark.parametrize("descending", [False, True])
def test_order_is_stable_and_nan_is_largest(descending):
    a = np.array([[2.0, NAN, 1.0, 2.0, -np.inf], [0.0, -0.0, np.inf, NAN, NAN]])
    values, indices = ndl.tensor(a).sort(descending=descending)
    expected = torch.sort(torch.tensor(a), descending=descending, stable=True)
    np.testing.assert_array_equal(values.numpy(), expected.values.numpy())
    assert indices.tolist() == expected.indices.tolist()
    assert indices.dtype == ndl.int64
    values, indices = ndl.tensor(a).topk(3, largest=descending)
    np.testing.assert_array_equal(values.numpy(), expected.values[:, :3].numpy())
    assert indices.tolist() == expected.indices[:, :3].tolist()


def test_order_of_other_dtypes(rng):
    for a in (
        rng.integers(-9, 9, (3, 7)),
        rng.random((4, 5)) < 0.5,
        np.zeros((0, 3)),
        np.zeros((3, 0)),
    ):
        for axis in (0, 1):
            values, indices = ndl.array(a).sort(axis)
            assert type(values) is ndl.NDArray
            np.testing.assert_array_equal(values.numpy(), np.sort(a, axis))
            np.testing.assert_array_equal(indices.numpy(), np.argsort(a, axis, kind="stable"))
    with pytest.raises(ValueError, match="k = 4"):
        ndl.ones(3).topk(4)


def test_cumsum_of_other_dtypes(rng):
    for a in (rng.integers(-9, 9, (5, 7)), rng.random((4, 9)) < 0.5, np.ones(1000, np.int32)):
        for axis in range(a.ndim):
            x = ndl.tensor(a).cumsum(axis)
            np.testing.assert_array_equal(x.numpy(), a.cumsum(axis))
            assert x.dtype == ndl.int64
    with pytest.raises(TypeError, match="axis"):
        ndl.ones(3).cumsum()


def test_einsum_of_integers_is_numpys(rng):
    a, b = rng.integers(-9, 9, (2, 3, 4)), rng.integers(-9, 9, (4, 3))
    for text in ("bij,ji->b", "bij,jk->bik", "bij,ji", "...j,jk", "bij,kl->lk"):
        got = ndl.einsum(text, ndl.tensor(a), ndl.tensor(b))
        np.testing.assert_array_equal(got.numpy(), np.einsum(text, a, b))
        assert got.dtype == ndl.int64
    assert ndl.dot(ndl.tensor([2, 3]), ndl.tensor([4, 5])).item() == 23


BAD_EINSUMS = [
    ("ii->i", [(2, 2)], "twice in one operand"),
    ("ij,jk", [(2, 3)], "2 operands named, 1 given"),
    ("ij,jk", [(2, 3), (4, 5)], "sizes 3 and 4"),
    ("ij", [(2, 3, 4)], "not as many axes"),
    ("...ij", [(2,)], "not as many axes"),
    ("ij->k", [(2, 3)], "in no operand"),
    ("ij->ii", [(2, 3)], "twice in the result"),
    ("i1", [(2, 3)], "unexpected '1'"),
    ("i..j", [(2, 3)], "unexpected"),
    ("......", [(2, 3)], "two ellipses"),
    ("i->j->k", [(2,)], "unexpected"),
]


@pytest.mark.parametrize("text, shapes, message", BAD_EINSUMS, ids=lambda v: str(v)[:20])
def test_bad_einsum(text, shapes, message):
    with pytest.raises(ValueError, match=message):
        ndl.einsum(text, *[ndl.ones(shape) for shape in shapes])


def test_as_strided_stays_inside():
    x = ndl.arange(12).reshape(3, 4)
    assert x[1:].as_strided((2, 2), (4, 1), 1).tolist() == [[1, 2], [5, 6]]
    assert x.as_strided((3,), (-4,), 11).tolist() == [11, 7, 3]
    assert x.as_strided((0, 99), (99, 1), 5).shape == (0, 99)
    assert x.as_strided((), (), 11).item() == 11
    x.as_strided((4,), (3,))[...] = 0  # a view: writing goes through
    assert x.tolist() == [[0, 1, 2, 0], [4, 5, 0, 7], [8, 0, 10, 11]]
    huge = 2**62
    for shape, strides, offset in [
        ((12,), (1,), 1), ((2,), (12,), 0), ((2,), (-1,), 0), ((1,), (1,), -1), ((1,), (1,), 12),
        ((huge, huge), (huge, huge), 0), ((3, 3), (huge, -huge), 6), ((huge,), (0,), 12),
        ((0,), (1,), -1),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="reach outside of the 12 elements"):
            x.as_strided(shape, strides, offset)
    with pytest.raises(ValueError, match="one stride for each axis"):
        x.as_strided((2, 2), (1,))
    with pytest.raises(ValueError, match="negative size"):
        x.as_strided((-2,), (1,))
    with pytest.raises(RuntimeError, match="contiguous"):
        ndl.ones(3, 1, requires_grad=True).broadcast_to((3, 2)).as_strided((2,), (1,))


def index(*values: int) -> ndl.Tensor:
    return ndl.tensor(np.array(values, np.int64))


X = ndl.arange(12).reshape(3, 4).to("float32")
IMAGE = ndl.ones(1, 2, 5, 5)
ERRORS = [
    (lambda: X.gather(0, index(0, 1)), ValueError, "as many axes"),
    (lambda: X.gather(0, ndl.zeros(1, 5, dtype="int64")), ValueError, "none but that one longer"),
    (lambda: X.gather(0, ndl.zeros(1, 1)), TypeError, "float32, not int64"),
    (lambda: X.gather(1, index(4).reshape(1, 1)), IndexError, "index 4 is out of range"),
    (lambda: X.gather(2, index(0).reshape(1, 1)), IndexError, "gather"),
    (lambda: X.index_select(0, index(-4)), IndexError, "-4 is out of range"),
    (lambda: X.index_select(0, X), ValueError, "one axis"),
    (lambda: X.take_along_dim(index(0), 0), ValueError, "as many axes"),
    (lambda: X.take_along_dim(index(12)), IndexError, "12 is out of range"),
    (lambda: X.scatter_add(0, index(0).reshape(1, 1), ndl.ones(0, 1)), ValueError, "scatter_add"),
    (lambda: X.to("int64").scatter_add(0, X, X), TypeError, "float32 into int64"),
    (lambda: X.masked_fill(ndl.ones(5, 3, 4) > 0, 0), ValueError, "does not broadcast to"),
    (lambda: X.masked_fill(X, 0), TypeError, "mask is float32"),
    (lambda: index(1).masked_fill(index(1) > 0, 0.5), TypeError, "0.5 does not fit int64"),
    (lambda: X.pad([1]), ValueError, "two for each axis"),
    (lambda: X.pad([1] * 6), ValueError, "two for each axis"),
    (lambda: X.pad([-3, -2]), ValueError, "cut more than axis 1"),
    (lambda: X.pad([-(2**63), 0]), ValueError, "cut more"),
    (lambda: X.pad([2**63 - 1, 0]), ValueError, "too large|memory"),
    (lambda: index(1).pad([1, 1], 0.5), TypeError, "0.5 does not fit int64"),
    (lambda: X.roll((1, 2)), ValueError, "without axes"),
    (lambda: X.roll((1, 2), 0), ValueError, "one each"),
    (lambda: X.tile(-1), ValueError, "negative"),
    (lambda: X.tile(2**62, 2**62), ValueError, "too large|memory|counted"),
    (lambda: X.chunk(0), ValueError, "at least 1"),
    (lambda: ndl.outer(X, X[0]), ValueError, "two vectors"),
    (lambda: ndl.dot(X[0], X[:, 0]), ValueError, "of one size"),
    (lambda: ndl.conv2d(X, ndl.ones(1, 2, 1, 1)), ValueError, "channels, height, width"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 3, 1, 1)), ValueError, "wanted weight"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 2, 6, 1)), ValueError, "does not fit"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 2, 1, 1), stride=0), ValueError, "stride"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 2, 1, 1), padding=(1, 2, 3)), ValueError, "padding"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 2, 1, 1), padding=2**40), ValueError, "padding"),
    (lambda: ndl.conv2d(IMAGE, ndl.ones(1, 2, 1, 1), ndl.ones(2)), ValueError, "bias"),
    (lambda: ndl.conv2d(IMAGE.to("int64"), ndl.ones(1, 2, 1, 1)), TypeError, "int64"),
    (lambda: ndl.conv_transpose2d(IMAGE, ndl.ones(3, 2, 1, 1)), ValueError, "wanted weight"),
    (lambda: ndl.conv_transpose2d(IMAGE, ndl.ones(2, 2, 1, 1), output_padding=1), ValueError,
     "smaller than the stride"),
    (lambda: IMAGE.max_pool2d(6), ValueError, "does not fit"),
    (lambda: IMAGE.max_pool2d((2, 2, 2)), ValueError, "max_pool2d"),
    (lambda: IMAGE.avg_pool2d(0), ValueError, "kernel"),
    (lambda: IMAGE.max_pool2d(2**30, 1, 2**29), ValueError, "more than 16777216 elements"),
    (lambda: IMAGE.avg_pool2d(2, padding=2), ValueError, "half of the kernel"),
    (lambda: X[0].avg_pool2d(1), ValueError, "channels, height, width"),
    (lambda: ndl.batch_norm(X, None, None), ValueError, "outside of training"),
    (lambda: ndl.batch_norm(X, ndl.ones(3), None, training=True), ValueError, r"wanted \(4,\)"),
    (lambda: ndl.batch_norm(X[:1], None, None, training=True), ValueError, "two values"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_say_what_is_wrong(number):
    call, kind, message = ERRORS[number]
    with pytest.raises(kind, match=message):
        call()


def test_negative_indices_count_from_the_end():
    assert X.gather(1, index(-1, 0).reshape(2, 1)).tolist() == [[3], [4]]
    assert X.index_select(0, index(-1)).tolist() == [[8, 9, 10, 11]]
    sums = X.scatter_add(1, index(-1, -1).reshape(1, 2), ndl.ones(1, 2))
    assert sums.tolist()[0] == [0, 1, 2, 5]


def test_index_arrays_have_a_gradient(rng):
    x = ndl.tensor(rng.standard_normal((4, 5)), requires_grad=True)
    t = torch.tensor(x.detach().numpy(), requires_grad=True)
    rows, columns = np.array([0, 3, 3, 1]), np.array([[2], [2], [-1]])
    (x[rows, columns] ** 2).sum().backward()
    (t[rows, columns] ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())
    mask = rng.random((4, 5)) < 0.5
    (x[mask] ** 3).sum().backward()
    (t[torch.tensor(mask)] ** 3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy())
