"""Modules in C++ and in Python, layers against PyTorch, initial values, clipping."""

import gc
import weakref

import numpy as np
import pytest
import torch

import needle as ndl
from needle import nn


class Residual(nn.Module):
    """A Python module among C++ layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, dim)
        self.scale = nn.Parameter(ndl.ones(dim))

    def forward(self, x: ndl.Tensor) -> ndl.Tensor:
        return x + self.inner(x) * self.scale


class Everything(nn.Module):
    """Members in every place where they are looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ndl.ones(2))
        self.layers = [nn.Linear(2, 3), {"a": nn.LayerNorm(3), "b": (nn.Dropout(0.5),)}]
        self.body = nn.Sequential(Residual(3), nn.ReLU(), nn.Linear(3, 2, bias=False))
        self.more = nn.ModuleList([nn.Linear(1, 1)])
        self.tied = self.weight
        self.plain = ndl.ones(5)
        self.register_buffer("seen", ndl.zeros(1))
        self.name = "a string"

    def forward(self, x: ndl.Tensor) -> ndl.Tensor:
        return self.body(self.layers[1]["a"](self.layers[0](x * self.weight)))


NAMES = [
    "weight", "layers.0.weight", "layers.0.bias", "layers.1.a.weight", "layers.1.a.bias",
    "body.0.inner.weight", "body.0.inner.bias", "body.0.scale", "body.2.weight",
    "more.0.weight", "more.0.bias",
]  # fmt: skip


def test_members_are_found_once():
    m = Everything()
    assert [name for name, _ in m.named_parameters()] == NAMES
    assert len(m.parameters()) == len(NAMES)
    assert set(m.state_dict()) == {*NAMES, "tied", "seen"}
    assert all(isinstance(p, nn.Parameter) for p in m.parameters())
    assert not isinstance(m.plain, nn.Parameter)
    assert not isinstance(3, nn.Parameter)


def test_all_layers_are_modules():
    for layer in (nn.Linear(2, 2), nn.Sequential(), Residual(2), nn.Identity(), nn.MSELoss()):
        assert isinstance(layer, nn.Module)


def test_training_mode_reaches_every_child():
    m = Everything()
    children = [m, m.layers[1]["b"][0], m.body, m.body[0], m.body[0].inner, m.more[0]]
    assert all(c.training for c in children)
    assert m.eval() is m
    assert not any(c.training for c in children)
    assert m.train() is m
    assert all(c.training for c in children)
    dropout = nn.Dropout(0.5)
    x = ndl.ones(100)
    assert dropout(x).tolist() != x.tolist()
    assert dropout.eval()(x).tolist() == x.tolist()


def test_gradients_reach_all_parameters():
    m = Everything()
    m(ndl.randn(4, 2)).sum().backward()
    used = [p for name, p in m.named_parameters() if not name.startswith("more")]
    assert all(p.grad is not None for p in used)
    assert m.more[0].weight.grad is None
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())


def test_state_dict_round_trip():
    a, b = Everything(), Everything()
    state = {name: t.numpy().copy() for name, t in a.state_dict().items()}
    b.load_state_dict(a.state_dict())
    for name, t in b.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), state[name])
    x = ndl.randn(3, 2)
    np.testing.assert_array_equal(a.eval()(x).detach().numpy(), b.eval()(x).detach().numpy())
    b.load_state_dict(state)
    before = b.weight.tolist()
    state["weight"] = np.zeros(3, np.float32)
    state["extra"] = np.zeros(1, np.float32)
    del state["more.0.bias"]
    with pytest.raises(ValueError, match=r"more.0.bias") as caught:
        b.load_state_dict(state)
    assert "extra" in str(caught.value)
    assert "weight" in str(caught.value)
    assert b.weight.tolist() == before


def test_moving_to_a_device():
    m = nn.Sequential(nn.Linear(2, 3), Residual(3))
    x = ndl.randn(4, 2)
    expected = m(x).detach().numpy()
    assert m.to("reference") is m
    assert all(str(p.device) == "reference" for p in m.parameters())
    y = m(x.to("reference"))
    np.testing.assert_allclose(y.detach().to("cpu").numpy(), expected, 1e-5, 1e-6)


def test_tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, i):
            return self.head(self.embed(i))

    m = Tied()
    assert [name for name, _ in m.named_parameters()] == ["embed.weight"]
    assert set(m.state_dict()) == {"embed.weight", "head.weight"}
    m(ndl.tensor([1])).sum().backward()
    assert m.embed.weight.grad is not None
    assert m.head.bias is None
    with pytest.raises(TypeError, match="Parameter"):
        m.head.weight = ndl.ones(5, 3)


def test_python_modules_live_as_long_as_sequential_needs_them():
    inner = Residual(2)
    watch = weakref.ref(inner)
    s = nn.Sequential(inner, nn.Tanh())
    assert s[0] is inner
    assert isinstance(s[-1], nn.Tanh)
    del inner
    gc.collect()
    x = ndl.ones(1, 2)
    np.testing.assert_allclose(s(x).detach().numpy(), s[1](s[0](x)).detach().numpy())
    assert len(s) == 2
    assert len(list(s)) == 2
    del s
    gc.collect()
    assert watch() is None


def test_errors_of_python_modules_pass_through_sequential():
    class Fails(nn.Module):
        def forward(self, _x):
            raise KeyError("mine")

    class Returns(nn.Module):
        def forward(self, _x):
            return 3

    with pytest.raises(KeyError, match="mine"):
        nn.Sequential(nn.Identity(), Fails())(ndl.ones(1))
    with pytest.raises(TypeError, match="int"):
        nn.Sequential(Returns())(ndl.ones(1))


PAIRS = [
    (nn.Linear(4, 3), torch.nn.Linear(4, 3), (2, 5, 4)),
    (nn.Linear(4, 3, bias=False), torch.nn.Linear(4, 3, bias=False), (4,)),
    (nn.LayerNorm(6), torch.nn.LayerNorm(6), (3, 6)),
    (nn.RMSNorm(6), torch.nn.RMSNorm(6, eps=1e-5), (3, 6)),
    (nn.Flatten(), torch.nn.Flatten(), (2, 3, 4)),
    (nn.ReLU(), torch.nn.ReLU(), (3, 4)),
    (nn.GELU(), torch.nn.GELU(), (3, 4)),
    (nn.SiLU(), torch.nn.SiLU(), (3, 4)),
    (nn.Tanh(), torch.nn.Tanh(), (3, 4)),
    (nn.Sigmoid(), torch.nn.Sigmoid(), (3, 4)),
    (nn.Softmax(), torch.nn.Softmax(-1), (3, 4)),
    (nn.Identity(), torch.nn.Identity(), (3, 4)),
]


@pytest.mark.parametrize("ours, theirs, shape", PAIRS, ids=lambda p: type(p).__name__)
def test_layers_equal_pytorch(ours, theirs, shape, rng):
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    values = rng.standard_normal(shape).astype(np.float32)
    x, t = ndl.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, e = ours(x), theirs(t)
    np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), 1e-5, 1e-6)
    (y * y).sum().backward()
    (e * e).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 1e-4, 1e-5)
    for (_, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), 1e-4, 1e-5)


def test_losses():
    logits, labels = ndl.randn(5, 3), ndl.tensor([0, 1, 2, 1, 0])
    expected = torch.nn.CrossEntropyLoss()(
        torch.from_dlpack(logits), torch.from_dlpack(labels)
    ).item()
    assert nn.CrossEntropyLoss()(logits, labels).item() == pytest.approx(expected, rel=1e-6)
    a, b = ndl.tensor([1.0, 2.0]), ndl.tensor([3.0, 5.0])
    assert nn.MSELoss()(a, b).item() == 6.5


def test_initial_values():
    for init, low, high in (
        (nn.init.uniform_, 0, 1),
        (nn.init.xavier_uniform_, -np.sqrt(6 / 500), np.sqrt(6 / 500)),
        (nn.init.kaiming_uniform_, -np.sqrt(6 / 200), np.sqrt(6 / 200)),
    ):
        w = nn.Parameter(ndl.empty(300, 200))
        assert init(w).same_as(w)
        a = w.detach().numpy()
        assert low <= a.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < a.max() <= high
    for init, std in (
        (lambda w: nn.init.normal_(w, mean=0, std=0.02), 0.02),
        (nn.init.xavier_normal_, np.sqrt(2 / 500)),
        (nn.init.kaiming_normal_, np.sqrt(2 / 200)),
    ):
        a = init(nn.Parameter(ndl.empty(300, 200))).detach().numpy()
        assert a.std() == pytest.approx(std, rel=0.02)
        assert abs(a.mean()) < std / 50
    assert nn.init.zeros_(ndl.ones(2)).tolist() == [0, 0]
    assert nn.init.ones_(ndl.zeros(2)).tolist() == [1, 1]
    bound = 1 / np.sqrt(200)
    w = nn.Linear(200, 300).weight.detach().numpy()
    assert np.abs(w).max() <= bound
    assert np.abs(w).max() > 0.99 * bound


def test_clip_grad_norm(rng):
    shapes, norm = [(3, 4), (5,)], 0.7
    ours = [nn.Parameter(ndl.zeros(s)) for s in shapes]
    theirs = [torch.nn.Parameter(torch.zeros(s)) for s in shapes]
    for p, q in zip(ours, theirs, strict=True):
        g = rng.standard_normal(p.shape).astype(np.float32)
        p.grad, q.grad = ndl.tensor(g), torch.tensor(g)
    got = nn.utils.clip_grad_norm_(ours, norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, norm).item()
    assert got == pytest.approx(expected, rel=1e-5)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), 1e-5)
    assert nn.utils.clip_grad_norm_(iter(ours), 100) == pytest.approx(norm, rel=1e-4)


def test_printing():
    assert repr(nn.ReLU()) == "ReLU()"
    assert "weight (3, 2)" in repr(nn.Linear(2, 3))
