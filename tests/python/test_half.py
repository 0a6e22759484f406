"""float16 and bfloat16: conversions, creation, copies, against NumPy and PyTorch."""

import copy
import pickle

import numpy as np
import pytest
import torch

import needle as ndl

HALVES = ["float16", "bfloat16"]
BITS = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16)


def to_torch(x: ndl.Tensor) -> torch.Tensor:
    return torch.from_dlpack(x.detach().contiguous())  # it takes no negative strides


def every_value(dtype: str) -> torch.Tensor:
    """All 65536 of them, by their bits."""
    return BITS.clone().view(getattr(torch, dtype))


def near_ties(dtype: str) -> np.ndarray:
    """float64: all finite values, what lies half-way to their neighbours, and just beside that."""
    values = every_value(dtype).double().numpy()
    values = np.unique(values[np.isfinite(values)])
    above = np.append(values[1:], 2 * values[-1] - values[-2])
    ties = np.concatenate([(values + above) / 2, [-above[-1], values[0] / 2 - above[-1] / 2]])
    small = np.abs(ties) * 2**-20
    return np.concatenate([values, ties, ties - small, ties + small, [np.inf, -np.inf, np.nan]])


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """NaN where NaN is expected; equal to the sign of 0 elsewhere."""
    np.testing.assert_array_equal(got, expected)
    real = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[real], np.signbit(expected)[real])


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("wide", ["float32", "float64"])
def test_every_value_goes_to_wide_ones_and_back(device, dtype, wide):
    values = every_value(dtype)
    if dtype == "float16":
        expected = values.numpy().astype(wide)  # NumPy's own conversion
    else:
        expected = values.to(getattr(torch, wide)).numpy()
    x = ndl.from_dlpack(values).to(device)
    assert_same(x.astype(wide).to("cpu").numpy(), expected)
    back = to_torch(x.astype(wide).astype(dtype).to("cpu")).view(torch.int16)
    number = ~torch.isnan(values)
    assert torch.equal(back[number], values.view(torch.int16)[number])
    assert torch.isnan(back.view(getattr(torch, dtype))[~number]).all()


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("stride", [1, 3])
def test_float32_is_rounded_to_nearest_even(device, dtype, stride):
    with np.errstate(over="ignore"):
        wide = near_ties(dtype).astype(np.float32)
    x = ndl.tensor(np.repeat(wide, stride)).to(device)[::stride]
    got = to_torch(x.astype(dtype).to("cpu")).float().numpy()
    with np.errstate(over="ignore"):
        expected = (wide.astype(np.float16) if dtype == "float16"
                    else torch.tensor(wide).bfloat16().float().numpy())  # fmt: skip
    assert_same(got, expected.astype(np.float32))


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_float64_is_rounded_once(device):
    wide = near_ties("float16")
    with np.errstate(over="ignore"):
        expected = wide.astype(np.float16)
    x = ndl.tensor(wide).to(device).astype(ndl.float16).to("cpu")
    assert_same(x.numpy(), expected)
    # By way of float32 this would be a tie, and go to 1.
    assert ndl.tensor([1 + 2**-8 + 2**-40], dtype="float64").astype("bfloat16").item() == 1 + 2**-7
    assert ndl.tensor([1 + 2**-8 + 2**-40], dtype="bfloat16").item() == 1 + 2**-7


@pytest.mark.parametrize("other", ["bool", "int32", "int64"])
@pytest.mark.parametrize("dtype", HALVES)
def test_integers(dtype, other):
    values = np.array([0, 1, -1, 2, 255, 257, 2049, 2051, 65519, 65520, -70000, 2**31 - 1])
    values = values.astype(other)
    got = to_torch(ndl.tensor(values).astype(dtype)).double()
    # Exact in float64; there PyTorch rounds once.
    assert torch.equal(got, torch.tensor(values).double().to(getattr(torch, dtype)).double())
    back = ndl.tensor([2.75, -2.75, 0.0, 100.0], dtype=dtype).astype(other)
    assert back.tolist() == ([True, True, False, True] if other == "bool" else [2, -2, 0, 100])


@pytest.mark.parametrize("shape", [(), (0,), (1,), (15,), (16,), (17,), (1000003,), (33, 65)])
def test_conversions_of_all_sizes_and_layouts(shape, rng):
    values = rng.standard_normal(shape).astype(np.float32)
    t, x = torch.tensor(values), ndl.tensor(values)
    views = [lambda v: v]
    if shape:
        views += [lambda v: v[..., ::2], lambda v: v[1:], lambda v: v.transpose(0, -1)]
    for view in views:
        for dtype in HALVES:
            half = view(x).astype(dtype)
            expected = view(t).to(getattr(torch, dtype))
            assert torch.equal(to_torch(half), expected)
            assert torch.equal(to_torch(half.astype("float32")), expected.float())
            for other in HALVES:
                assert torch.equal(to_torch(half.astype(other)), expected.to(getattr(torch, other)))


def test_promotion():
    for dtype in HALVES:
        for low in ("bool", "int32", "int64"):
            mixed = torch.ones(2, dtype=getattr(torch, low)) + torch.ones(2).to(
                getattr(torch, dtype)
            )
            assert str(mixed.dtype) == f"torch.{dtype}"
            assert ndl.promote_types(low, dtype) == getattr(ndl, dtype)
        assert ndl.promote_types(dtype, "float32") == ndl.float32
        assert ndl.promote_types("float64", dtype) == ndl.float64
    assert ndl.promote_types("float16", "bfloat16") == ndl.float32
    x = ndl.ones(3, dtype="bfloat16") + ndl.full((3,), 0.001)  # computed in float32
    assert x.dtype == ndl.float32
    assert x.tolist() == pytest.approx([1.001] * 3)


# --- creation, printing, copies ---


@pytest.mark.parametrize("dtype", HALVES)
def test_creation(dtype):
    t = getattr(torch, dtype)
    pairs = [
        (ndl.zeros(2, 3, dtype=dtype), torch.zeros(2, 3, dtype=t)),
        (ndl.ones(3, dtype=dtype), torch.ones(3, dtype=t)),
        (ndl.full((2,), 0.1, dtype=dtype), torch.full((2,), 0.1, dtype=t)),
        (ndl.arange(0, 40, dtype=dtype), torch.arange(0, 40, dtype=t)),
        (ndl.eye(3, dtype=dtype), torch.eye(3, dtype=t)),
        (ndl.linspace(0, 1, 5, dtype=dtype), torch.linspace(0, 1, 5).to(t)),
        (ndl.one_hot(ndl.tensor([1]), 3, dtype=dtype), torch.tensor([[0, 1, 0]]).to(t)),
        (ndl.tensor([0.1, 3.0], dtype), torch.tensor([0.1, 3.0], dtype=t)),
        (ndl.tensor([1, 300], dtype), torch.tensor([1, 300], dtype=t)),
        (ndl.array(np.arange(3, dtype=np.uint8), dtype), torch.arange(3).to(t)),
        (ndl.zeros_like(ndl.ones(2, dtype=dtype)), torch.zeros(2, dtype=t)),
    ]
    for got, expected in pairs:
        assert got.dtype == getattr(ndl, dtype)
        assert torch.equal(torch.from_dlpack(got), expected)
    assert getattr(ndl, dtype).itemsize == 2
    assert getattr(ndl, dtype).is_floating_point


@pytest.mark.parametrize("kind", [ndl.tensor, ndl.array])
def test_numbers_and_printing(kind):
    x = kind([0.1, -2.0], "bfloat16")
    name = "tensor" if kind is ndl.tensor else "array"
    assert repr(x) == f"{name}([ 0.1001, -2.    ], dtype=bfloat16)"
    assert x[0].item() == float(torch.tensor(0.1).bfloat16())
    assert x.tolist() == torch.tensor([0.1, -2.0]).bfloat16().tolist()
    assert float(x[1]) == -2
    assert f"{x[1]:.1f}" == "-2.0"
    assert bool(x[1])
    assert "dtype=float16" in repr(kind([0.1], "float16"))


@pytest.mark.parametrize("dtype", HALVES)
def test_pickle_and_deepcopy(dtype):
    def turned(x):
        return x.reshape(256, 256).transpose(0, 1)

    values = every_value(dtype)
    keep = ~torch.isnan(values)
    x = ndl.from_dlpack(values)
    parameter = ndl.nn.Parameter(ndl.ones(2, dtype=dtype))
    for same in (lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy):
        for again in (same(x), same(ndl.array(x)), same(turned(x)).transpose(0, 1).reshape(-1)):
            assert again.dtype == x.dtype
            assert torch.equal(torch.from_dlpack(again)[keep], values[keep])
        assert same(x[0]).shape == ()
        assert same(parameter).is_parameter
        assert same(parameter).requires_grad
    assert len(pickle.dumps(x)) < 2 * 65536 + 1000


@pytest.mark.parametrize("dtype", HALVES)
def test_views_and_copies(dtype, rng):
    values = torch.tensor(rng.standard_normal((4, 6))).to(getattr(torch, dtype))
    x = ndl.from_dlpack(values)
    mask = rng.random((4, 6)) < 0.5
    index = torch.tensor([[2, 0], [3, 3]])
    pairs = [
        (x.reshape(6, 4).transpose(0, 1), values.reshape(6, 4).T),
        (x[1:, ::-2], values[1:].flip(1)[:, ::2]),
        (x[:, 2], values[:, 2]),
        (ndl.stack([x, x], 1), torch.stack([values, values], 1)),
        (ndl.concat([x, x[:1]]), torch.cat([values, values[:1]])),
        (ndl.where(ndl.tensor(mask), x, x.flip(0)),
         torch.where(torch.tensor(mask), values, values.flip(0))),
        (x.masked_fill(ndl.tensor(mask), 0.5), values.masked_fill(torch.tensor(mask), 0.5)),
        (ndl.embedding(x, ndl.from_dlpack(index)), values[index]),
        (x[[3, 0, -1]], values[[3, 0, -1]]),
        (x[ndl.tensor(mask)], values[torch.tensor(mask)]),
        (x.pad((1, 2), 0.5), torch.nn.functional.pad(values, (1, 2), value=0.5)),
        (x.roll(1, 0), values.roll(1, 0)),
        (x.tile(2, 1), values.tile(2, 1)),
        (x.broadcast_to(2, 4, 6).contiguous(), values.expand(2, 4, 6)),
    ]  # fmt: skip
    for got, expected in pairs:
        assert got.dtype == getattr(ndl, dtype)
        assert torch.equal(to_torch(got), expected)
    x = ndl.zeros(3, dtype=dtype)
    x[1:] = ndl.tensor([0.1, 1e6])
    x[0] = 7
    assert torch.equal(to_torch(x), torch.tensor([7, 0.1, 1e6]).to(getattr(torch, dtype)))
    x += ndl.ones(3)  # in float32, and rounded back
    assert x.dtype == getattr(ndl, dtype)
    assert x[0].item() == 8
