"""float16 and bfloat16 in operations: matmul and gradients against PyTorch; what refuses them."""

import re

import numpy as np
import pytest
import torch

import needle as ndl

HALVES = ["float16", "bfloat16"]


def to_torch(x: ndl.Tensor) -> torch.Tensor:
    return torch.from_dlpack(x.detach().contiguous())  # it takes no negative strides


SHAPES = [((3, 5), (5, 7)), ((1, 64), (64, 33)), ((17, 1), (1, 9)), ((130, 257), (257, 65)),
          ((2, 3, 4, 5), (5, 6)), ((4, 1, 7, 16), (3, 16, 2)), ((5,), (5,)), ((5,), (5, 3)),
          ((2, 3, 5), (5,)), ((0, 5), (5, 3)), ((3, 0), (0, 2))]  # fmt: skip


def bound(a: torch.Tensor, b: torch.Tensor, product: torch.Tensor, dtype: str) -> torch.Tensor:
    """One unit in the last place, and what float32 sums may be off."""
    ulp = 2.0 ** (-7 if dtype == "bfloat16" else -10)
    size = a.abs().double() @ b.abs().double()
    return ulp * product.abs() + 1e-6 * size + 2.0**-24


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_matmul_and_its_gradients(device, dtype, shapes):
    generator = torch.Generator().manual_seed(0)
    t = getattr(torch, dtype)
    a, b = (torch.randn(s, generator=generator).to(t).requires_grad_() for s in shapes)
    x, y = (ndl.from_dlpack(v.detach()).to(device) for v in (a, b))
    x, y = x.requires_grad_(), y.requires_grad_()
    product = x @ y
    assert product.dtype == getattr(ndl, dtype)
    peer = a.double() @ b.double()
    error = (to_torch(product.to("cpu")).double() - peer.detach()).abs()
    assert (error <= bound(a.detach(), b.detach(), peer.detach(), dtype)).all()
    assert torch.allclose((a @ b).float(), to_torch(product.to("cpu")).float(), 0.05, 0.05)

    dy = torch.randn(peer.shape, generator=generator).to(t)
    product.backward(ndl.from_dlpack(dy).to(device))
    peer.backward(dy.double())
    for ours, theirs in ((x, a), (y, b)):
        assert ours.grad.dtype == getattr(ndl, dtype)
        got, expected = to_torch(ours.grad.to("cpu")).double(), theirs.grad.double()
        # A sum over a batch is one of rounded products.
        scale = expected.abs().max() if expected.numel() else 0
        assert torch.allclose(got, expected, 2.0**-7, float(2.0**-7 * scale))


def test_matmul_sums_in_float32():
    ones = ndl.ones(1, 4096, dtype="bfloat16")
    assert (ones @ ones.reshape(4096, 1)).item() == 4096  # in bfloat16 the sum ends at 256
    assert ndl.einsum("ij,kj->ik", ones, ones).item() == 4096
    assert ones[0].dot(ones[0]).item() == 4096


def test_matmul_of_mixed_dtypes():
    half = ndl.full((2, 2), 0.1, dtype="bfloat16")
    wide = half @ ndl.ones(2, 2)
    assert wide.dtype == ndl.float32
    assert wide[0, 0].item() == 2 * half[0, 0].item()
    assert (half @ ndl.ones(2, 2, dtype="float16")).dtype == ndl.float32
    assert (half @ ndl.ones(2, 2, dtype="int64")).dtype == ndl.bfloat16


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_come_back_in_the_dtype_of_the_input(dtype, rng):
    t = getattr(torch, dtype)
    values = rng.standard_normal((4, 3))
    x, w = ndl.tensor(values.astype(np.float32)), ndl.tensor(values.T.astype(np.float32))
    a, b = torch.tensor(x.numpy()), torch.tensor(w.numpy())
    for v in (x, w, a, b):
        v.requires_grad = True
    # A float32 master copy, a half product, a float32 loss: mixed precision.
    (x.astype(dtype) @ w.astype(dtype)).astype("float32").exp().sum().backward()
    (a.to(t) @ b.to(t)).float().exp().sum().backward()
    assert x.grad.dtype == w.grad.dtype == ndl.float32
    for ours, theirs in ((x, a), (w, b)):
        scale = float(theirs.grad.abs().max())
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 0, 2**-6 * scale)


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_of_views_and_of_several_uses(dtype):
    t = getattr(torch, dtype)
    index, mask = [0, 2, 2, 1], [[True, False, True]]

    def loss(x, lib, embedding, concat, where, wide):
        rows = embedding(x, lib.tensor(index))
        both = concat([rows, x[:2]])
        picked = where(lib.tensor(mask), both, both * 0 if lib is torch else ndl.zeros_like(both))
        return (wide(picked) * wide(picked)).sum() + wide(x[1:]).sum()

    ours = ndl.tensor([[0.1, 2.0, 3.0], [4.0, 5.1, 6.0], [7.0, 8.0, 9.3]], dtype)
    theirs = torch.tensor(ours.tolist(), dtype=t)
    ours.requires_grad = theirs.requires_grad = True
    for _ in range(2):  # the second time into .grad
        loss(
            ours, ndl, ndl.embedding, ndl.concat, ndl.where, lambda v: v.astype("float32")
        ).backward()
        loss(theirs, torch, lambda x, i: x[i], torch.cat, torch.where,
             lambda v: v.float()).backward()  # fmt: skip
    assert ours.grad.dtype == getattr(ndl, dtype)
    np.testing.assert_allclose(ours.grad.tolist(), theirs.grad.tolist(), 2**-6)


def test_gradients_of_gradients():
    x = ndl.tensor([[1.0, 2.0], [3.0, 4.0]], "bfloat16", requires_grad=True)
    (first,) = ndl.grad([(x @ x).astype("float32").sum()], [x], create_graph=True)
    first.astype("float32").sum().backward()
    # The sum of the first gradient is that of x's rows and columns, each twice: 2 * 2 everywhere.
    assert x.grad.tolist() == [[4, 4], [4, 4]]


# --- refusals ---

h = ndl.ones(2, 3, dtype="bfloat16")
REFUSALS = [
    ("exp", lambda: h.exp()),
    ("neg", lambda: -h),
    ("add", lambda: h + h),
    ("mul", lambda: h * 2),
    ("sub", lambda: 1.0 - h),
    ("compare", lambda: h == h),
    ("sum", lambda: h.sum()),
    ("mean", lambda: h.mean()),
    ("var", lambda: h.var()),
    ("max", lambda: h.max()),
    ("argmax", lambda: h.argmax()),
    ("any", lambda: h.any()),
    ("all", lambda: h.all()),
    ("clip", lambda: ndl.clip(h, 0, 1)),
    ("dropout", lambda: ndl.dropout(h, 0.5)),
    ("logsumexp", lambda: h.logsumexp()),
    ("cumsum", lambda: h.cumsum(0)),
    ("softmax", lambda: h.softmax()),
    ("sort", lambda: h.sort()),
    ("topk", lambda: h.topk(1)),
    ("cross_entropy", lambda: ndl.cross_entropy(h, ndl.tensor([0, 1]))),
    ("rms_norm", lambda: ndl.rms_norm(h, h[0])),
    ("layer_norm", lambda: ndl.layer_norm(h, h[0], h[0])),
    ("scatter_add", lambda: h.scatter_add(0, ndl.tensor([[0]]), h)),
    ("scaled_dot_product_attention", lambda: ndl.scaled_dot_product_attention(
        *[ndl.ones(1, 1, 2, 4, dtype="bfloat16")] * 3)),
    ("rotary_embedding", lambda: ndl.rotary_embedding(
        ndl.ones(1, 1, 2, 4, dtype="bfloat16"), *[ndl.ones(2, 2, dtype="bfloat16")] * 2)),
    ("conv2d", lambda: ndl.conv2d(*[ndl.ones(1, 1, 2, 2, dtype="bfloat16")] * 2)),
    ("max_pool2d", lambda: ndl.max_pool2d(ndl.ones(1, 1, 2, 2, dtype="bfloat16"), 2)),
]  # fmt: skip


@pytest.mark.parametrize("name, attempt", REFUSALS, ids=[row[0] for row in REFUSALS])
def test_what_computes_refuses(name, attempt):
    wanted = rf"^{name}: b?float16 is a storage type.*x\.astype\(ndl\.float32\)$"
    with pytest.raises(TypeError) as caught:
        attempt()
    assert re.search(wanted, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("draw", [ndl.rand, ndl.randn])
def test_random_numbers_are_drawn_in_float32(draw):
    with pytest.raises(TypeError, match=r"^rand: bfloat16 is .* float32 .*x\.astype\(dtype\)$"):
        draw(2, dtype="bfloat16")


@pytest.mark.parametrize("optimizer", [ndl.optim.SGD, ndl.optim.AdamW])
def test_parameters_that_learn_are_float32(optimizer):
    with pytest.raises(TypeError, match=r"^optimizer: bfloat16 is .*keep parameters in float32"):
        optimizer([ndl.nn.Parameter(h)], lr=0.1)


def test_a_tensor_of_pytorch_comes_by_dlpack():
    source = torch.ones(2, dtype=torch.bfloat16)  # NumPy, by which others come, cannot read it
    with pytest.raises(TypeError, match=r"^tensor: NumPy cannot .*needle\.from_dlpack\(x\)$"):
        ndl.tensor(source)
    assert ndl.from_dlpack(source).tolist() == [1, 1]


def test_numpy_has_no_bfloat16():
    x = ndl.ones(2, dtype="bfloat16")
    for attempt in (x.numpy, lambda: np.asarray(x), ndl.array(x).numpy):
        with pytest.raises(TypeError, match=r"no bfloat16; use x.astype\(ndl.float32\).numpy\(\)"):
            attempt()
    with pytest.raises(BufferError):
        memoryview(x)
    assert x.astype(ndl.float32).numpy().tolist() == [1, 1]
