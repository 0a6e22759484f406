"""Optimisers and schedules, step by step against PyTorch."""

import itertools

import numpy as np
import pytest
import torch

import needle as ndl
from needle import nn, optim
from needle.optim import lr_scheduler

CASES = [
    (optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    (optim.Adam, torch.optim.Adam, {}),
    (optim.Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    (optim.AdamW, torch.optim.AdamW, {}),
    (optim.AdamW, torch.optim.AdamW, {"lr": 0.05, "betas": (0.9, 0.95), "eps": 1e-4}),
    (optim.AdamW, torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.5}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ours, theirs, options", CASES)
def test_steps_equal_pytorch(ours, theirs, options, dtype, rng):
    values = [rng.standard_normal(s).astype(dtype) for s in [(5, 3), (7,), (), (2, 2)]]
    params = [nn.Parameter(ndl.tensor(v)) for v in values]
    torch_params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    a, b = ours(params, **options), theirs(torch_params, **options)
    tolerance = 1e-5 if dtype == "float32" else 1e-10
    for step in range(8):
        a.zero_grad()
        b.zero_grad()
        for i, (p, q) in enumerate(zip(params, torch_params, strict=True)):
            if i == 3 and step < 2:
                continue  # a parameter without a gradient does not move
            g = rng.standard_normal(p.shape).astype(dtype)
            p.grad, q.grad = ndl.tensor(g), torch.tensor(g)
        a.step()
        b.step()
        if step == 4:
            a.lr = b.param_groups[0]["lr"] = 0.01
        for i, (p, q) in enumerate(zip(params, torch_params, strict=True)):
            if i == 3 and ours is not optim.SGD:
                continue  # PyTorch counts steps per parameter, needle per optimiser
            np.testing.assert_allclose(
                p.detach().numpy(), q.detach().numpy(), tolerance, tolerance / 10
            )
    assert a.steps == 8


@pytest.mark.parametrize("ours, theirs, options", CASES)
def test_a_saved_state_continues_bit_for_bit(ours, theirs, options, rng):
    start = rng.standard_normal((4, 3)).astype(np.float32)
    gradients = rng.standard_normal((6, 4, 3)).astype(np.float32)

    def run(p, optimizer, some):
        for g in some:
            p.grad = ndl.tensor(g)
            optimizer.step()

    p = nn.Parameter(ndl.tensor(start))
    a = ours([p], **({"lr": 1e-3} | options))
    run(p, a, gradients[:3])
    q = nn.Parameter(ndl.tensor(p))
    state = a.state_dict()
    copied = {"steps": state["steps"],
              "state": {k: v.numpy().copy() for k, v in state["state"].items()}}  # fmt: skip
    run(p, a, gradients[3:])
    b = ours([q], **({"lr": 1e-3} | options))
    b.load_state_dict(copied)
    run(q, b, gradients[3:])
    assert p.tolist() == q.tolist()
    assert b.steps == 6
    with pytest.raises(ValueError, match="belongs to none"):
        b.load_state_dict({"steps": 1, "state": {"nonsense.0": np.zeros(1, np.float32)}})
    with pytest.raises(ValueError, match="steps"):
        b.load_state_dict({"state": {}})


def test_optimisers_take_any_iterable_and_keep_their_parameters():
    m = nn.Linear(3, 2)
    optimizer = optim.SGD((p for p in m.parameters()), lr=0.5)
    assert len(optimizer.parameters) == 2
    assert optimizer.parameters[0].same_as(m.weight)
    before = m.weight.detach().numpy().copy()
    m(ndl.ones(1, 3)).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(m.weight.detach().numpy(), before - 0.5, 1e-6)
    del m
    optimizer.step()


def fresh(lr: float = 0.3):
    ours = optim.SGD([nn.Parameter(ndl.zeros(1))], lr=lr)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    return ours, theirs


def follow(ours, theirs, steps: int, torch_optimizer):
    for _ in range(steps):
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-9, abs=1e-12)
        assert ours.optimizer.lr == ours.get_last_lr()[0]
        torch_optimizer.step()
        ours.step()
        theirs.step()


T = torch.optim.lr_scheduler


def test_step_lr():
    a, b = fresh()
    follow(lr_scheduler.StepLR(a, 3, 0.5), T.StepLR(b, 3, 0.5), 10, b)


def test_cosine():
    a, b = fresh()
    follow(lr_scheduler.CosineAnnealingLR(a, 10, 0.01), T.CosineAnnealingLR(b, 10, 0.01), 11, b)


def test_warmup():
    a, b = fresh()
    theirs = T.LambdaLR(b, lambda s: min(1.0, (s + 1) / 5))
    follow(lr_scheduler.LinearWarmup(a, 5), theirs, 8, b)


def test_sequence():
    a, b = fresh()
    ours = lr_scheduler.SequentialLR(
        a, [lr_scheduler.LinearWarmup(a, 4), lr_scheduler.CosineAnnealingLR(a, 6)], [4]
    )
    theirs = T.SequentialLR(
        b, [T.LambdaLR(b, lambda s: min(1.0, (s + 1) / 4)), T.CosineAnnealingLR(b, 6)], [4]
    )
    follow(ours, theirs, 10, b)


def test_warmup_stable_decay_and_state():
    a, _ = fresh(1.0)
    s = lr_scheduler.WarmupStableDecay(a, 2, 4, 10, floor=0.1)
    rates = []
    for _ in range(11):
        rates.append(a.lr)
        s.step()
    assert rates[:3] == [0.5, 1, 1]
    assert rates[6] == 1
    assert rates[10] == pytest.approx(0.1)
    assert all(x > y for x, y in itertools.pairwise(rates[6:]))
    state = s.state_dict()
    b, _ = fresh(1.0)
    t = lr_scheduler.WarmupStableDecay(b, 2, 4, 10, floor=0.1)
    t.load_state_dict(state)
    assert b.lr == a.lr
    with pytest.raises(ValueError, match="milestones"):
        lr_scheduler.SequentialLR(a, [s], [1])
