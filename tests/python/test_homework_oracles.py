"""Oracles that do without a part of PyTorch because it loads slowly, held against that part."""

import importlib
import sys
import types

import numpy as np
import pytest
import torch

from course.homework import spec
from course.paths import ROOT

HW1 = ROOT / "homework" / "hw1"


@pytest.fixture(scope="module")
def hw1():
    package = types.ModuleType("hw1_oracles")
    package.__path__ = [str(HW1)]
    sys.modules["hw1_oracles"] = package
    yield lambda name: importlib.import_module(f"hw1_oracles.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "hw1_oracles"]:
        del sys.modules[name]


def test_sgd_is_pytorchs(hw1):
    training = hw1("training")
    cases = list(training.sgd_cases(np.random.default_rng(3)))
    assert len(cases) == 24
    for case in cases:
        p = torch.nn.Parameter(torch.tensor(case["start"]))
        optimizer = torch.optim.SGD([p], **case["options"])
        for g, want in zip(case["gradients"], training.sgd(case), strict=True):
            p.grad = torch.tensor(g)
            optimizer.step()
            np.testing.assert_allclose(p.detach().numpy(), want, rtol=1e-13, atol=1e-14)


def test_the_digits_are_those_of_scikit_learn(hw1):
    from sklearn.datasets import load_digits

    images, labels = hw1("training").digits()
    pixels, digits = load_digits(return_X_y=True)
    assert np.array_equal(images * 16, pixels)
    assert np.array_equal(labels, digits)


def test_the_walk_is_that_of_pytorchs_backward_with_its_hooks(hw1):
    graphs = hw1("graphs")
    seen = set()
    for case in graphs.backward_cases(np.random.default_rng(3)):
        if case["how"] not in ("backward", "hook"):
            continue
        leaves = [torch.tensor(x, requires_grad=True) for x in case["leaves"]]
        values = list(leaves)
        for name, *operands in case["program"]:
            x = [values[i] for i in operands]
            values.append(
                {"neg": lambda a: -a, "square": lambda a: a * a, "same": lambda a: a + a,
                 "add": torch.add, "sub": torch.sub, "mul": torch.mul}[name](*x)
            )  # fmt: skip
        kept = [values[i] for i in case["keep"]]
        for x in kept:
            x.retain_grad()
            if case["how"] == "hook":
                x.register_hook(lambda g: g * 2)
        for _ in range(case["times"]):
            values[-1].backward(torch.tensor(case["dy"]), retain_graph=True)
        *want, freed = graphs.backward(case)
        assert freed == 1
        for x, expected in zip(leaves + kept, want, strict=True):
            got = np.nan if x.grad is None else x.grad.numpy()
            np.testing.assert_allclose(got, expected, rtol=1e-12)
        seen.add((case["how"], case["times"], bool(kept)))
    assert {("hook", 1, True), ("backward", 2, True), ("backward", 2, False)} <= seen


def test_every_region_has_at_least_three_mutants():
    homework = spec.load(ROOT, "hw1")
    for question in homework.questions:
        assert len(list((HW1 / "mutants").glob(f"{question.id}.*.*"))) >= 3, question.id
