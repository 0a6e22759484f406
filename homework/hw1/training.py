"""Homework 1, part B: cases and expectations for the training loop and its steps, by PyTorch."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .arrays import Answer, Case
from .gradients import real


def sgd_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Each option alone, then together."""
    several: list[dict[str, Any]] = [
        {}, {"momentum": 0.9}, {"weight_decay": 0.1}, {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.2},
    ]  # fmt: skip
    for shape in [(1,), (3,), (2, 3), ()]:
        for options in several:
            steps = [real(rng, shape) for _ in range(4)]
            lr = float(rng.uniform(0.01, 0.5))
            start = real(rng, shape)
            yield {"start": start, "gradients": steps, "options": {"lr": lr, **options}}


def sgd(case: Case) -> list[np.ndarray]:
    """The rule as PyTorch documents it; a test holds it against PyTorch's own, slow to load."""
    p, v, seen = case["start"], 0.0, []
    lr, momentum = case["options"]["lr"], case["options"].get("momentum", 0)
    for gradient in case["gradients"]:
        g = gradient + case["options"].get("weight_decay", 0) * p
        v = momentum * v + g
        p = p - lr * (g + momentum * v if case["options"].get("nesterov") else v)
        seen.append(np.asarray(p))
    return seen


def train_epoch_cases(rng: np.random.Generator) -> Iterator[Case]:
    """No batch, one, several, a last one that is smaller; then handwritten digits."""
    for rows, batch, epochs in [(0, 4, 1), (4, 4, 1), (8, 4, 1), (7, 3, 2)]:
        images = real(rng, (rows, 3), "float32")
        yield training_case(rng, images, rng.integers(0, 2, rows), (3, 4, 2), batch, epochs)
    images, labels = digits()
    some = rng.permutation(len(images))[:300]
    yield training_case(rng, images[some], labels[some], (64, 16, 10), 32, 2)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's handwritten digits, from its file: importing it takes seconds."""
    found = importlib.util.find_spec("sklearn")
    folder = Path(found.submodule_search_locations[0])
    table = np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return (table[:, :-1] / 16).astype(np.float32), table[:, -1].astype(np.int64)


def training_case(
    rng: np.random.Generator,
    images: np.ndarray,
    labels: np.ndarray,
    sizes: tuple[int, int, int],
    batch: int,
    epochs: int,
) -> Case:
    """A network of two layers with its first weights, and the data for it."""
    inputs, hidden, classes = sizes
    shapes = [(hidden, inputs), (hidden,), (classes, hidden), (classes,)]
    start = [real(rng, shape, "float32") * 0.3 for shape in shapes]
    return {
        "images": images, "labels": labels, "sizes": sizes, "start": start, "batch": batch,
        "epochs": epochs, "lr": 0.1,
    }  # fmt: skip


def train_epoch(case: Case) -> Answer:
    """The same loop in PyTorch."""
    if len(case["images"]) == 0:
        return ValueError
    inputs, hidden, classes = case["sizes"]
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
    )
    with torch.no_grad():
        for p, start in zip(model.parameters(), case["start"], strict=True):
            p.copy_(torch.tensor(start))
    parameters = list(model.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    x, y, n = torch.tensor(case["images"]), torch.tensor(case["labels"]), case["batch"]
    means = []
    for _ in range(case["epochs"]):
        losses = []
        for i in range(0, len(x), n):
            loss = torch.nn.functional.cross_entropy(model(x[i : i + n]), y[i : i + n])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocity, gradients, strict=True):
                    v.mul_(0.9).add_(g)
                    p.sub_(case["lr"] * v)
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return [np.array(means), *[p.detach().numpy() for p in parameters]]
