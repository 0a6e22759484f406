"""Image, recurrent and attention layers against PyTorch, by way of state_dict()."""

import numpy as np
import pytest
import torch

import needle as ndl
from needle import nn


def to_torch(state: dict) -> dict:
    return {k: torch.tensor(v.numpy()) for k, v in state.items()}


def close(ours: ndl.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=10 * tolerance, atol=tolerance
    )


def total(outputs: object) -> object:
    """The sum of squares of all tensors in nested tuples."""
    if isinstance(outputs, tuple):
        return sum(total(o) for o in outputs)
    return (outputs * outputs).sum()


def flat(outputs: object) -> list:
    return [t for o in outputs for t in flat(o)] if isinstance(outputs, tuple) else [outputs]


def compare(ours: nn.Module, theirs: torch.nn.Module, *shapes: tuple[int, ...], **options: object):
    """The same parameters give the same outputs and gradients. Ours are given to PyTorch."""
    theirs.load_state_dict(to_torch(ours.state_dict()), strict=True)
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    xs = [ndl.tensor(v, requires_grad=True) for v in values]
    ts = [torch.tensor(v, requires_grad=True) for v in values]
    x = (xs[0], tuple(xs[1:])) if len(xs) == 3 else xs
    t = (ts[0], tuple(ts[1:])) if len(ts) == 3 else ts
    y, e = ours(*x, **options), theirs(*t)
    for a, b in zip(flat(y), flat(e), strict=True):
        close(a, b)
    total(y).backward()
    total(e).backward()
    for a, b in zip(xs, ts, strict=True):
        close(a.grad, b.grad, 1e-4)
    gradients = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()]
    for name, p in ours.named_parameters():
        close(p.grad, gradients[name].grad, 1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1), "bias": False},
        {"kernel_size": 2, "dilation": 2, "groups": 2},
    ],
)
def test_conv2d(options):
    compare(nn.Conv2d(4, 6, **options), torch.nn.Conv2d(4, 6, **options), (2, 4, 7, 8))
    w = nn.Conv2d(8, 200, 5).weight.detach().numpy()
    assert 0.99 / np.sqrt(200) < np.abs(w).max() <= 1 / np.sqrt(200)


def test_conv2d_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="groups"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="weight"):
        nn.Conv2d(3, 4, 3)(ndl.ones(1, 2, 5, 5))
    with pytest.raises(ValueError, match="does not fit"):
        nn.Conv2d(3, 4, 3)(ndl.ones(1, 3, 2, 5))


@pytest.mark.parametrize("kind", ["MaxPool2d", "AvgPool2d"])
def test_pools(kind):
    for arguments in ((2,), ((3, 2), 1), (3, (2, 1), 1)):
        ours, theirs = getattr(nn, kind)(*arguments), getattr(torch.nn, kind)(*arguments)
        x = ndl.randn(2, 3, 7, 6)
        close(ours(x), theirs(torch.tensor(x.numpy())), 1e-6)
    with pytest.raises(ValueError, match="padding"):
        getattr(nn, kind)(2, padding=2)(ndl.ones(1, 1, 4, 4))


def test_equal_elements_of_a_pool():
    x, t = ndl.zeros(1, 1, 4, 4, requires_grad=True), torch.zeros(1, 1, 4, 4, requires_grad=True)
    nn.MaxPool2d(3, 1, 1)(x).sum().backward()
    torch.nn.MaxPool2d(3, 1, 1)(t).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), t.grad.numpy())


@pytest.mark.parametrize(
    "kind, shape",
    [("BatchNorm1d", (5, 3)), ("BatchNorm1d", (4, 3, 2)), ("BatchNorm2d", (2, 3, 4, 5))],
)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}])
def test_batch_norm(kind, shape, options, rng):
    ours, theirs = getattr(nn, kind)(3, **options), getattr(torch.nn, kind)(3, **options)
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        values = (rng.standard_normal(shape) * 2 + 1).astype(np.float32)
        x, t = ndl.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        y, e = ours(x), theirs(t)
        close(y, e)
        (y * y * y).sum().backward()
        (e * e * e).sum().backward()
        close(x.grad, t.grad, 1e-4)
    state = theirs.state_dict()
    assert set(state) == set(ours.state_dict())
    for name, value in ours.state_dict().items():
        close(value, state[name])
    assert {name for name, _ in ours.named_buffers()} == {n for n, _ in theirs.named_buffers()}


def test_batch_norm_errors():
    with pytest.raises(ValueError, match="two values"):
        nn.BatchNorm1d(3)(ndl.ones(1, 3))
    with pytest.raises(ValueError, match="BatchNorm2d"):
        nn.BatchNorm2d(3)(ndl.ones(2, 3))
    with pytest.raises(ValueError, match="wanted"):
        nn.BatchNorm1d(3)(ndl.ones(2, 4))


@pytest.mark.parametrize("bias", [True, False])
def test_cells(bias):
    x, h = (4, 3), (4, 5)
    compare(nn.RNNCell(3, 5, bias), torch.nn.RNNCell(3, 5, bias), x, h)
    compare(nn.RNNCell(3, 5, bias, "relu"), torch.nn.RNNCell(3, 5, bias, "relu"), x)
    compare(nn.LSTMCell(3, 5, bias), torch.nn.LSTMCell(3, 5, bias), x, h, h)
    compare(nn.LSTMCell(3, 5, bias), torch.nn.LSTMCell(3, 5, bias), x)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bias": False},
        {"batch_first": True, "bidirectional": True},
        {"num_layers": 2, "bidirectional": True},
    ],
)
def test_recurrent_layers(options):
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = (2, 6, 3) if options.get("batch_first") else (6, 2, 3)
    h = (count, 2, 4)
    compare(nn.RNN(3, 4, **options), torch.nn.RNN(3, 4, **options), x)
    compare(nn.RNN(3, 4, nonlinearity="relu", **options),
            torch.nn.RNN(3, 4, nonlinearity="relu", **options), x, h)  # fmt: skip
    compare(nn.LSTM(3, 4, **options), torch.nn.LSTM(3, 4, **options), x)
    compare(nn.LSTM(3, 4, **options), torch.nn.LSTM(3, 4, **options), x, h, h)


def test_recurrent_errors():
    with pytest.raises(ValueError, match=r"LSTM: x has shape \(2, 3\)"):
        nn.LSTM(3, 4)(ndl.ones(2, 3))
    with pytest.raises(ValueError, match="state"):
        nn.RNN(3, 4)(ndl.ones(5, 2, 3), ndl.ones(1, 1, 4))
    with pytest.raises(ValueError, match="no steps"):
        nn.RNN(3, 4)(ndl.ones(0, 2, 3))
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNNCell(3, 4, nonlinearity="sine")


class TorchAttention(torch.nn.MultiheadAttention):
    """Our arguments; the batch first, no weights returned."""

    def forward(self, q, k=None, v=None):
        k = q if k is None else k
        return super().forward(q, k, k if v is None else v, need_weights=False)[0]


@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_attention(bias):
    def pair() -> tuple:
        return nn.MultiHeadAttention(6, 3, bias), TorchAttention(6, 3, bias=bias, batch_first=True)

    compare(*pair(), (2, 5, 6))
    compare(*pair(), (2, 5, 6), (2, 4, 6))
    with pytest.raises(ValueError, match="heads"):
        nn.MultiHeadAttention(6, 4)
    with pytest.raises(ValueError, match="wanted"):
        nn.MultiHeadAttention(6, 3)(ndl.ones(5, 6))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_transformer_block(norm_first, activation, causal):
    class Theirs(torch.nn.TransformerEncoderLayer):
        def forward(self, x):
            hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
            return super().forward(x, src_mask=hidden if causal else None, is_causal=causal)

    options = {"activation": activation, "norm_first": norm_first, "dropout": 0.0}
    ours = nn.TransformerBlock(6, 2, 8, **options)
    compare(ours, Theirs(6, 2, 8, batch_first=True, **options), (3, 5, 6), is_causal=causal)
    assert nn.TransformerBlock(6, 2).dropout.p == 0.1
    with pytest.raises(ValueError, match="activation"):
        nn.TransformerBlock(6, 2, activation="sine")


def test_parts_of_a_module():
    inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    m = nn.Sequential(inner, nn.ReLU(), inner)
    names = [name for name, _ in m.named_modules()]
    assert names == ["", "0", "0.0", "0.1", "1"]
    assert m.modules()[0] is m
    assert m.modules()[1] is inner
    assert [name for name, _ in m.named_children()] == ["0", "1"]
    assert m.children()[0] is inner
    assert isinstance(inner.children()[0], nn.Linear)
    running = ["0.1.running_mean", "0.1.running_var", "0.1.num_batches_tracked"]
    assert [name for name, _ in m.named_buffers()] == running
    assert m.buffers()[0].same_as(inner[1].running_mean)
    children = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).children()  # outlives its parent
    assert children[1](ndl.ones(1, 1)).shape == (1, 1)


def test_a_small_image_network_learns():
    ndl.manual_seed(2)
    rng = np.random.default_rng(2)
    labels = np.arange(40) % 2
    images = rng.standard_normal((40, 1, 8, 8)).astype(np.float32) * 0.3
    images[labels == 1, 0, 2:6, 3] += 1  # a bar, upright or lying
    images[labels == 0, 0, 3, 2:6] += 1
    x, y = ndl.tensor(images), ndl.tensor(labels)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 2),
    )  # fmt: skip
    optimizer = ndl.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        ndl.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.eval()
    assert (model(x).argmax(1) == y).all()
