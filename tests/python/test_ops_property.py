"""Every operation of the table on random shapes and layouts: values, gradients and second gradients
against PyTorch's. NEEDLE_CASES=200 tries more cases of each (25 by default)."""

import os

import numpy as np
import op_draws_neural  # adds its operations to OPS
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from op_cases import CASES
from op_draws import OPS, Call, Draw

import needle as ndl

# The error that a result of size 1 may have, by dtype: value, gradient, second gradient.
TOLERANCE = {"float64": (1e-11, 1e-10, 1e-9), "float32": (2e-5, 2e-4, 2e-3)}


def test_every_op_of_the_table_has_draws():
    assert op_draws_neural
    assert {case.name for case in CASES} == set(OPS)


def close(got: np.ndarray, expected: torch.Tensor, tolerance: float, what: str) -> None:
    """Equal but for `tolerance`, times the largest value where it is above 1."""
    want = expected.numpy(force=True)
    assert got.shape == want.shape, what
    scale = max(1.0, np.abs(want).max(initial=0))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def arrays(tensors: tuple, like: list) -> list[np.ndarray]:
    """Gradients as arrays; None, for no dependence, as zeros."""
    return [
        np.zeros(x.shape) if t is None else t.detach().numpy()
        for t, x in zip(tensors, like, strict=True)
    ]


def check(call: Call, dtype: str, rng: np.random.Generator) -> None:
    # PyTorch computes in float64 from the same (rounded) values, so that it adds no error.
    values = [x.base.astype(dtype) for x in call.inputs]
    ours = [ndl.tensor(v, requires_grad=True) for v in values]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    y = call.needle(*[x.view(t) for x, t in zip(call.inputs, ours, strict=True)])
    e = call.torch(*[x.view(t) for x, t in zip(call.inputs, theirs, strict=True)])
    value_error, gradient_error, second_error = TOLERANCE[dtype]
    assert str(y.dtype) == f"needle.{dtype}"
    close(y.detach().numpy(), e, value_error, "value")

    seed = rng.standard_normal(y.shape).astype(dtype)
    ours.append(ndl.tensor(seed, requires_grad=True))
    theirs.append(torch.tensor(seed, dtype=torch.float64, requires_grad=True))
    first = ndl.grad(y, ours[:-1], ours[-1], create_graph=True)
    wanted = torch.autograd.grad(e, theirs[:-1], theirs[-1], create_graph=True)
    for i, (got, want) in enumerate(zip(arrays(first, ours[:-1]), wanted, strict=True)):
        close(got, want, gradient_error, f"gradient of input {i}")

    weights = [rng.standard_normal(v.shape).astype(dtype) for v in values]
    pairs = zip(first, weights, strict=True)
    total = sum((g * ndl.tensor(w)).sum() for g, w in pairs if g is not None)
    pairs = zip(wanted, weights, strict=True)
    expected = sum((g * torch.tensor(w, dtype=torch.float64)).sum() for g, w in pairs)
    # Without elements nothing depends on anything.
    second = wanted = [None] * len(theirs)
    if total.requires_grad:
        second = ndl.grad(total, ours)
    if expected.requires_grad:
        wanted = torch.autograd.grad(expected, theirs, allow_unused=True)
    for i, (got, want) in enumerate(zip(arrays(second, ours), wanted, strict=True)):
        want = torch.zeros(got.shape) if want is None else want
        close(got, want, second_error, f"second gradient of input {i}")


@pytest.mark.parametrize("name", sorted(OPS))
@settings(
    max_examples=int(os.environ.get("NEEDLE_CASES", "25")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a smaller seed is no smaller case
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**63), dtype=st.sampled_from(["float32", "float64"]))
def test_equals_pytorch(name: str, seed: int, dtype: str):
    draw = Draw(seed)
    call = OPS[name](draw)
    note(f"{name} {dtype}: {[x.layout for x in call.inputs]} {call.note}")
    check(call, dtype, draw.rng)
