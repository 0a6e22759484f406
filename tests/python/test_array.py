"""Creation, attributes, indexing and views of Tensor and NDArray, against NumPy."""

import copy
import pickle

import numpy as np
import pytest

import needle as ndl

KINDS = [ndl.tensor, ndl.array]
VALUES = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)

KEYS = [
    0,
    -1,
    np.int64(1),
    slice(None),
    slice(1, None),
    slice(None, None, -1),
    slice(5, 1, -2),
    slice(10, 20),
    slice(-(2**70), 2**70),
    ...,
    None,
    (),
    (0, 1, 2, 3),
    (slice(None), 1),
    (..., 2),
    (0, ..., slice(1, 3)),
    (None, 0, None, ..., None),
    (slice(None), slice(None, None, 2), -1, slice(3, 0, -1)),
    [0, 1, 1],
    [-1],
    [],
    np.array([[0, 1], [1, 1]]),
    (slice(None), [2, 0]),
    (slice(None), slice(1, 3), np.array([[0, 3], [1, -2]])),
    (0, [2, 0]),
    (0, slice(None), [3, 1, 1]),
    (slice(None), [0, 2], 1),
    (..., [4, 0]),
    (None, [1], None),
    np.array([True, False]),
    VALUES % 7 == 0,
    VALUES[..., 0] % 3 == 1,
    (slice(None), np.array([True, False, True])),
    np.zeros((2, 3), bool),
    ([0, 1, 1], [2, 0, -1]),
    (slice(None), [[0], [2]], [1, 3, -4]),
    ([1], slice(1, 3), [0, 2, 2]),
    ([0, 1], 1, [0, 2]),
    (..., [0, 2], [1, 1]),
    ([0, 1, 0], None, [0, 2, 1], [3, 3, 0]),
    (np.array([True, True]), [0, 2]),
    (np.array([1, 0, 0, 1]), VALUES[0, :, :, 0] % 3 == 1),
    ([], []),
]


def short(key: object) -> str:
    return " ".join(str(key).split())[:40]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", KEYS, ids=short)
def test_reading_by_index(kind, key):
    for values in (VALUES, np.ascontiguousarray(VALUES.T).T):
        x = kind(values)
        expected = values[key]
        got = x[key]
        assert type(got) is type(x)
        np.testing.assert_array_equal(got.numpy(), expected)
        assert got.shape == expected.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", KEYS, ids=short)
def test_writing_by_index(kind, key, rng):
    shape = VALUES[key].shape
    sources = [-7, rng.integers(0, 99, shape), rng.integers(0, 99, shape[-1:])]
    for source in sources:
        for order in "CF":
            expected = np.array(VALUES, order=order)
            x = kind(VALUES) if order == "C" else ndl.from_numpy(expected.copy(order="F"))
            expected[key] = source
            x[key] = source if isinstance(source, int) else kind(source)
            np.testing.assert_array_equal(x.numpy(), expected)


BAD_KEYS = [
    (2, "select|range"),
    (-3, "select|range"),
    ((0, 0, 0, 0, 0), "5 indices"),
    ((..., ...), "Ellipsis"),
    ("a", "got str"),
    (1.0, "got float"),
    ([0, 2], "out of range"),
    (np.zeros((3, 3), bool), "mask"),
    (np.array([0.5]), "int or bool"),
    (([0, 1], [0, 1, 2]), "broadcast"),
    (2**70, "cannot fit|range"),
]


@pytest.mark.parametrize("key, message", BAD_KEYS, ids=short)
def test_bad_index(key, message):
    with pytest.raises(IndexError, match=message):
        ndl.tensor(VALUES)[key]
    with pytest.raises(IndexError, match=message):
        ndl.tensor(VALUES)[key] = 0


def test_overlapping_write():
    x, expected = ndl.arange(10), np.arange(10)
    x[1:] = x[:-1]
    expected[1:] = expected[:-1].copy()
    np.testing.assert_array_equal(x.numpy(), expected)


def test_views_share_memory():
    x = ndl.zeros(3, 4)
    for view in (x[1], x[:, ::2], x.transpose(0, 1), x.reshape(4, 3), x.unsqueeze(0), x.flip(0)):
        before = x.numpy().sum()
        view[0] = view[0].numpy() + 1
        assert x.numpy().sum() > before
    assert x.reshape(12).data_ptr() == x.data_ptr()
    assert x[1].offset == 4
    assert x.transpose(0, 1).strides == (1, 4)
    assert x.broadcast_to((2, 3, 4)).strides == (0, 4, 1)
    assert not x.transpose(0, 1).is_contiguous()
    assert x.transpose(0, 1).contiguous().is_contiguous()


def test_creation():
    np.testing.assert_array_equal(ndl.arange(5).numpy(), np.arange(5))
    np.testing.assert_array_equal(ndl.arange(1, 8, 3).numpy(), np.arange(1, 8, 3))
    np.testing.assert_allclose(ndl.arange(0, 1, 0.25).numpy(), np.arange(0, 1, 0.25))
    np.testing.assert_array_equal(ndl.arange(5, 0, -2).numpy(), np.arange(5, 0, -2))
    np.testing.assert_allclose(ndl.linspace(0, 1, 7).numpy(), np.linspace(0, 1, 7), 1e-6)
    np.testing.assert_array_equal(ndl.eye(3, dtype=ndl.float64).numpy(), np.eye(3))
    np.testing.assert_array_equal(ndl.full((2, 3), 7, dtype="int64").numpy(), np.full((2, 3), 7))
    np.testing.assert_array_equal(ndl.one_hot(ndl.tensor([2, 0]), 3).numpy(), np.eye(3)[[2, 0]])
    assert ndl.one_hot(ndl.tensor([-1, 3]), 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert ndl.zeros(2, 3).shape == ndl.zeros((2, 3)).shape == ndl.zeros([2, 3]).shape == (2, 3)
    assert ndl.zeros(4).shape == (4,)
    assert ndl.ones(()).item() == 1
    assert ndl.empty(2, 0, 3).size == 0
    assert ndl.zeros_like(ndl.ones(2, dtype="int32")).dtype == ndl.int32
    assert ndl.full_like(ndl.ones(2), 3).tolist() == [3, 3]


def test_dtypes_of_python_values():
    assert ndl.tensor([1.5, 2]).dtype == ndl.float32
    assert ndl.tensor([[1, 2], [3, 4]]).dtype == ndl.int64
    assert ndl.tensor(True).dtype == ndl.bool_
    assert ndl.tensor([]).dtype == ndl.float32
    assert ndl.tensor(np.float64(1.5)).dtype == ndl.float64
    assert ndl.tensor(np.arange(3, dtype=np.int32)).dtype == ndl.int32
    assert ndl.tensor([1, 2], dtype=float).dtype == ndl.float32
    assert ndl.tensor([1.7], dtype=np.int32).tolist() == [1]
    assert ndl.tensor(np.array([200], np.uint8), dtype="float32").tolist() == [200]
    assert ndl.tensor([1], "float64").numpy().dtype == np.float64


def test_tensor_copies():
    a = np.zeros(3)
    x = ndl.tensor(a)
    y = ndl.tensor(x)
    a[0] = 1
    x[1] = 1
    assert x.tolist() == [0, 1, 0]
    assert y.tolist() == [0, 0, 0]


@pytest.mark.parametrize("make", KINDS)
def test_numbers_and_sequences(make):
    x = make([[1.5, 2.0]])
    assert len(x) == 1
    assert [row.tolist() for row in x] == [[1.5, 2.0]]
    assert float(x[0, 0]) == 1.5
    assert int(x[0, 1]) == 2
    assert bool(x[0, 0])
    assert f"{x[0, 0]:.2f}" == "1.50"
    assert [10, 20, 30][make(2)] == 30
    assert isinstance(make(3).item(), int)
    assert isinstance(make(True).item(), bool)
    assert make(2**60 + 1).item() == 2**60 + 1
    for bad in (lambda: len(make(1)), lambda: iter(make(1)), lambda: [1][make(1.0)]):
        with pytest.raises(TypeError):
            bad()
    for bad in (lambda: bool(x), lambda: float(x), x.item):
        with pytest.raises(ValueError, match="shape"):
            bad()


def test_shape_arguments():
    x = ndl.arange(6)
    assert x.reshape(2, 3).shape == x.reshape((2, -1)).shape == x.reshape([np.int64(2), 3]).shape
    assert ndl.reshape(x, 3, 2).shape == ndl.reshape(x, (3, 2)).shape
    assert x.reshape(2, 3).permute(1, 0).shape == x.reshape(2, 3).permute((1, 0)).shape == (3, 2)
    for bad in (2.5, "6", None, (2, 3.0), (True, 6)):
        with pytest.raises(TypeError, match="int"):
            x.reshape(bad)
    for bad in ((4, 2), (-1, -1), (-2, 3), (2**40, 2**40, 2**40), (1,) * 9):
        with pytest.raises(ValueError):
            x.reshape(bad)


def test_huge_arrays_are_refused():
    with pytest.raises((MemoryError, ValueError)):
        ndl.empty(2**62)
    with pytest.raises(ValueError):
        ndl.zeros(2**40, 2**40)
    with pytest.raises(ValueError, match="negative"):
        ndl.zeros(-1)
    with pytest.raises(ValueError):
        ndl.zeros(2**70)


def test_arithmetic_of_ndarrays():
    a, b = ndl.array([[1.0, 2.0]]), ndl.array([3.0, 4.0])
    for value in (a + b, 1 - a, a.exp(), a.sum(), abs(-a), a @ b, a == b, a.to("float64"), a[0]):
        assert isinstance(value, ndl.NDArray)
    assert isinstance(a + ndl.tensor([1.0, 1.0]), ndl.Tensor)
    assert isinstance(ndl.exp(a), ndl.Tensor)
    a += 1
    assert a.tolist() == [[2, 3]]
    shared = ndl.NDArray(ndl.zeros(2))
    assert isinstance(shared, ndl.NDArray)


def test_copies_and_pickles():
    parameter = ndl.nn.Parameter(ndl.tensor([1.0, 2.0]))
    parameter.grad = ndl.tensor([3.0, 4.0])
    for x in (ndl.arange(6).reshape(2, 3), ndl.array([1.5]), ndl.tensor(True), parameter):
        for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert type(y) is type(x)
            assert y.dtype == x.dtype
            assert y.tolist() == x.tolist()
            assert y.data_ptr() != x.data_ptr()
    twin = copy.deepcopy(parameter)
    assert isinstance(twin, ndl.nn.Parameter)
    assert twin.requires_grad
    assert twin.grad.tolist() == [3, 4]
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(parameter * 2)


def test_printing():
    x = ndl.tensor([[1.0, 2.0], [3.0, 4.5]], requires_grad=True)
    assert repr(x) == (
        "tensor([[1. , 2. ],\n        [3. , 4.5]], dtype=float32, requires_grad=True)"
    )
    assert repr(x @ x).endswith("dtype=float32, grad_fn=<MatMul>)")
    assert "device='reference'" in repr(ndl.ones(2).to("reference"))
    assert repr(ndl.array([1, 2])) == "array([1, 2], dtype=int64)"
    assert repr(ndl.zeros(0, 3)) == "tensor([], shape=(0, 3), dtype=float32)"
    assert "..." in repr(ndl.zeros(100, 100))
    assert "<pre>" in x._repr_html_()
    assert "(2, 2)" in x._repr_html_()


def test_random_streams_are_reproducible():
    g, h = ndl.Generator(42), ndl.Generator(42)
    a = ndl.randn(5, 3, generator=g)
    assert a.tolist() == ndl.randn((5, 3), generator=h).tolist()
    assert ndl.rand(4, generator=g).tolist() == ndl.rand(4, generator=h).tolist()
    assert ndl.rand(4, generator=g).tolist() != a[:4, 0].tolist()
    reference = ndl.randn(5, 3, generator=ndl.Generator(42), device="reference")
    np.testing.assert_allclose(reference.to("cpu").numpy(), a.numpy(), 1e-6)
    ndl.manual_seed(1)
    first = ndl.rand(3).tolist()
    ndl.manual_seed(1)
    assert ndl.rand(3).tolist() == first
    state = (g.seed, g.offset)
    more = ndl.rand(3, generator=g).tolist()
    g.set_state(*state)
    assert ndl.rand(3, generator=g).tolist() == more


def test_random_numbers_have_the_right_distribution():
    u, n = ndl.rand(100_000).numpy(), ndl.randn(100_000, dtype="float64").numpy()
    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    assert abs(n.mean()) < 0.01
    assert abs(n.std() - 1) < 0.01
    assert abs((n**4).mean() - 3) < 0.1
    k = ndl.randint(-2, 3, (10_000,)).numpy()
    assert set(k) == {-2, -1, 0, 1, 2}
    assert sorted(ndl.randperm(100).tolist()) == list(range(100))


def test_philox_known_answer():
    """The first block of key 0, counter 0 is the known answer of Random123: kat_vectors."""
    first = ndl.rand(4, generator=ndl.Generator(0), dtype="float64").numpy()
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], np.uint64)
    np.testing.assert_array_equal(first, (words >> np.uint64(8)) * 2.0**-24)
